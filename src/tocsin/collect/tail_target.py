"""Which files are read, what they are labelled, and the stages their lines go through."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch

from tocsin.collect.log_entry import MakeStage
from tocsin.collect.log_formats import Container
from tocsin.collect.relabel import Rule, relabelled
from tocsin.ingest.stream_labels import SERVICES

PATH, EXCLUDE = "__path__", "__path_exclude__"


@dataclass(frozen=True, slots=True)
class Target:
    """Files of one pattern."""

    job: str
    pattern: str
    exclude: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    tenant: str = ""
    stages: tuple[MakeStage, ...] = (Container,)

    def paths(self) -> Iterator[str]:
        """The files that are there now, in order."""
        for pattern in alternatives(self.pattern):
            for path in sorted(glob.glob(pattern, recursive=True)):
                if not (self.exclude and any(fnmatch(path, one) for one in alternatives(self.exclude))):
                    yield path


def target_of(
    job: str, labels: Mapping[str, str], rules: Sequence[Rule], tenant: str, stages: tuple[MakeStage, ...]
) -> Target | None:
    """Of labels as service discovery gives them, __path__ among them; None when relabelling drops it."""
    after = relabelled(labels, rules)
    if after is None or not after.get(PATH):
        return None
    shown = {name: value for name, value in after.items() if not name.startswith("__")}
    if not any(shown.get(name) for name in SERVICES):
        shown["job"] = job
    return Target(job, after[PATH], after.get(EXCLUDE, ""), shown, tenant, stages)


def alternatives(pattern: str) -> list[str]:
    """{a,b} in a pattern means either, which Python's glob does not know."""
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [one for choice in found[1].split(",") for one in alternatives(before + choice + after)]
