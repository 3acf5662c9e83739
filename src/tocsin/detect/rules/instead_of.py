"""Two rules that see one fact: while the one that says it better fires, the other is told to nobody.

The better one names the other below `tocsin: {instead_of: …}`; that makes an inhibition for the pipeline, with its why.
"""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.alerts.inhibit import InhibitRule
from tocsin.detect.rules.rule import RuleFile
from tocsin.model.alert import ALERT_NAME
from tocsin.query.promql.matchers import Matcher

NOTE = "which tells the same"


def inhibitions(files: Iterable[RuleFile]) -> tuple[InhibitRule, ...]:
    """What rules of these files say of each other. A tenant's file says it of that tenant's alerts alone."""
    made = {}
    for file in files:
        whose = (Matcher("tenant", "=", file.tenant),) if file.tenant else ()
        for rule in file.rules:
            if (other := rule.notes.instead_of) is not None:
                source = (Matcher(ALERT_NAME, "=", rule.alert), *whose)
                target = (Matcher(ALERT_NAME, "=", other.alert), *whose)
                made[(file.tenant, rule.alert, other)] = InhibitRule(source, target, other.equal, rule.line, NOTE)
    return tuple(made.values())
