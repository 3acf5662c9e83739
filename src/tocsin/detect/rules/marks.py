"""What people said of a rule's alerts, told apart from what they said of another rule of the same name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tocsin.storage.control.alerts import Marks

_PAGE = re.compile(r"/rules/([0-9a-f]{16})$")


def marks_by_rule(marks: Iterable[Marks], names: Mapping[str, str]) -> dict[str, Marks]:
    """By key of the rule. names: of all alerting rules there are, by key.

    What was said of a rule that is no more (it was moved, or its labels were changed) counts for all of its name; of
    alerts that others sent, for none.
    """
    found: dict[str, Marks] = {}
    for one in marks:
        page = _PAGE.search(one.source)
        if page is None:
            continue
        own = page[1]
        keys = [own] if own in names else [key for key, name in names.items() if name == one.name]
        for key in keys:
            found[key] = one if key not in found else found[key].with_more(one)
    return found
