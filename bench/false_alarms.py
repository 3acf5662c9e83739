"""How often the shipped critical rules ring for nothing, and what they find, over weeks of made-up labelled history.

    python -m bench.false_alarms [--days 21] [--seeds 1] [--first-seed 1] [--profile slo] [--show]

`bench.history` makes the numbers of a product with twelve tenants; `bench.happenings` puts incidents of 21 kinds into
them, and what tempts rules: deploys, nightly batches, errors of half a minute, restarts, gaps in the scrapes, a tenant
of three requests a minute of which one fails. The rules are replayed as a back-test does it, recording rules first; the
first day is warm-up and not judged.

A fire is right inside an incident about what the rule is about (`ABOUT`), in its service, and for ten minutes after.
Any other is false. Several right fires of one rule in one incident count as one, every false fire counts. The share of
false ones depends on how many incidents there are, so false fires a week are printed, too. `of its` are all incidents
about it: not each is for each rule to tell. Incidents that nobody told of are missed. What is in the history is what
somebody thought of: beside this figure stands what people said of real alerts (`tocsin alerts review`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.happenings import DAY, SUBJECTS, Happening, planned
from bench.history import History, history
from tocsin.detect.rules.evaluation import Surroundings
from tocsin.detect.rules.library import packs
from tocsin.detect.rules.replay import Period, Recorded, periods_of, replay
from tocsin.detect.rules.rule import DEFAULT_INTERVAL_SECONDS, Group, Rule
from tocsin.model.severity import Severity
from tocsin.model.threshold_profiles import DEFAULT_PROFILE, PROFILE_NAMES
from tocsin.query.promql.engine import ResultSeries
from tocsin.query.promql.source import Grid

AFTER_MS = 10 * 60_000
TARGET = 0.02
DAY_MS = 86_400_000
_ERRORS, _UP = {"errors", "database", "up"}, {"up", "database", "restarts"}
ABOUT = {
    "API Down": _UP, "System Down": _UP, "Database Down": {"database"}, "High Error Rate": _ERRORS,
    "Error Rate Emergency": _ERRORS, "Error Budget Burns Fast": _ERRORS,
    "Database Pool Exhausted": {"pool"}, "Very High Latency": {"latency"},
    "Low Disk": {"disk"}, "Database Connection Failure": {"database"},
    "TenantIsolationBroken": {"isolation"}, "Isolation Crossing": {"isolation"}, "JobMissed": {"schedule"},
    "JobFailing": {"jobs"}, "Container Restart Loop": {"restarts"}, "Authentication Failures": {"sign-ins"},
    "Potential Brute Force": {"sign-ins"}, "TocsinDown": {"monitoring"},
    "TocsinPagingPathUnreliable": {"monitoring"}, "TocsinIngestLate": {"monitoring"},
    "TocsinWriterFailing": {"monitoring"},
}  # fmt: skip
"""What each rule is about, in the words of SUBJECTS; one that is not here has nothing to ring for in the history."""


@dataclass(slots=True)
class Judged:
    """One rule: fires within incidents (by incident, when first), fires elsewhere, and how many incidents are its."""

    rule: Rule
    fires: int = 0
    right: dict[Happening, int] = field(default_factory=dict)
    false: list[Period] = field(default_factory=list)
    of: int = 0


def rules_of(profile: str) -> list[tuple[Group, Rule, tuple[Rule, ...]]]:
    """The shipped alerts that are on and wake somebody, each with the recording rules of its file it needs."""
    found = []
    for loaded in packs(profile):
        records = tuple(rule for rule in loaded.file.rules if not rule.is_alerting)
        for group in loaded.file.groups:
            for rule in group.rules:
                if rule.is_alerting and rule.severity <= Severity.P1 and rule.is_on_with(profile):
                    found.append((group, rule, tuple(one for one in records if one.record in rule.expr)))
    return found


def fires_of(group: Group, rule: Rule, records: Iterable[Rule], made: History, start_ms: int) -> list[Period]:
    """When the rule fired from start_ms on."""
    recorded = Recorded(made.source)
    around = Surroundings(recorded, count_rows=made.rows.count)
    for one in records:
        recorded.add(group, one, _replayed(group, one, around, made, made.start_ms))
    step = _step_ms(group)
    grid = Grid(start_ms, made.ms(made.steps - 1) // step * step, step)
    periods = periods_of(group, rule, _replayed(group, rule, around, made, start_ms), grid)
    return [one for one in periods if one.fired_at_ms is not None]


def _replayed(group: Group, rule: Rule, around: Surroundings, made: History, start_ms: int) -> list[ResultSeries]:
    """What the rule gives from start_ms on, asked day by day: what one query may read is bounded."""
    parts: dict[tuple[tuple[str, str], ...], list[ResultSeries]] = {}
    step, end = _step_ms(group), made.ms(made.steps - 1)
    for at in range(start_ms, end, DAY_MS):
        grid = Grid(at, min(at + DAY_MS - step, end // step * step), step)
        for series in replay(group, rule, around, grid).series:
            parts.setdefault(tuple(sorted(series.labels.items())), []).append(series)
    return [
        ResultSeries(
            each[0].labels,
            np.concatenate([one.times for one in each]),
            np.concatenate([np.asarray(one.values) for one in each]),
        )
        for each in parts.values()
    ]


def _step_ms(group: Group) -> int:
    return round((group.interval_seconds or DEFAULT_INTERVAL_SECONDS) * 1000)


def judged(rule: Rule, fires: Sequence[Period], made: History, start_ms: int) -> Judged:
    """Holds the fires against the incidents."""
    own = [one for one in made.happenings if _is_about(rule, one) and made.ms(one.end) > start_ms]
    found = Judged(rule, len(fires), of=len(own))
    for period in fires:
        at_ms = period.fired_at_ms or 0
        # The one that began last: a long one would take what is about a short one within it.
        incident = max((one for one in own if _is_during(one, period, made)), key=lambda one: one.start, default=None)
        if incident is None:
            found.false.append(period)
        else:
            found.right[incident] = min(at_ms, found.right.get(incident, at_ms))
    return found


def _is_about(rule: Rule, one: Happening) -> bool:
    return one.is_incident and bool(ABOUT.get(rule.name, set()) & SUBJECTS[one.kind])


def _is_during(one: Happening, period: Period, made: History) -> bool:
    at_ms = period.fired_at_ms or 0
    for label, said in (("job", one.job), ("service", one.job), ("tenant", one.tenant)):
        if said and period.labels.get(label, said) != said:
            return False
    return made.ms(one.start) <= at_ms <= made.ms(one.end) + AFTER_MS


def judge(days: int, seed: int, profile: str) -> tuple[History, list[Judged]]:
    """A whole history, judged after its first day."""
    random = np.random.default_rng(seed)
    made = history(planned(days, random), (days + 1) * DAY, seed)
    start_ms = made.ms(DAY)
    found = []
    for group, rule, records in rules_of(profile):
        found.append(judged(rule, fires_of(group, rule, records, made, start_ms), made, start_ms))
    return made, found


def report(runs: Sequence[tuple[History, list[Judged]]], days: int, show: bool) -> None:
    """The tables."""
    print(f"{'rule':34}{'fires':>7}{'right in':>10}{'of its':>8}{'false':>7}{'first after, median':>22}")
    right = false = 0
    for same in zip(*(found for _, found in runs), strict=True):
        waits = [
            at - made.ms(one.start)
            for (made, _), each in zip(runs, same, strict=True)
            for one, at in each.right.items()
        ]
        inside, outside = len(waits), sum(len(each.false) for each in same)
        right, false = right + inside, false + outside
        after = f"{statistics.median(waits) / 60_000:.1f} min" if waits else "–"
        name = f"{same[0].rule.name} ({same[0].rule.labels['severity']})"
        fires, of = sum(each.fires for each in same), sum(each.of for each in same)
        print(f"{name:34}{fires:>7}{inside:>10}{of:>8}{outside:>7}{after:>22}")
    _incidents(runs)
    share, weeks = false / (right + false) if right + false else 0.0, len(runs) * days / 7
    print(f"\nfalse: {false} of {right + false} ({share:.1%}; target below {TARGET:.0%}), {false / weeks:.2f} a week")
    silent = [each.rule.name for each in runs[0][1] if each.rule.name not in ABOUT]
    print(f"rules with nothing to ring for in the history: {', '.join(silent) or 'none'}")
    if show:
        _show_false(runs)


def _incidents(runs: Sequence[tuple[History, list[Judged]]]) -> None:
    """What was found of each kind, by any rule."""
    total: Counter[str] = Counter()
    waits: dict[str, list[float]] = {}
    for made, found in runs:
        for one in made.happenings:
            if one.is_incident:
                total[one.kind] += 1
                first = [each.right[one] for each in found if one in each.right]
                waits.setdefault(one.kind, []).extend([(min(first) - made.ms(one.start)) / 60_000] if first else [])
    print(f"\n{'incident':24}{'happened':>9}{'found':>7}{'after, median':>16}{'longest':>10}")
    for kind, count in total.items():
        after = sorted(waits[kind])
        times = f"{statistics.median(after):>12.1f} min{after[-1]:>6.1f} min" if after else f"{'–':>16}{'–':>10}"
        minor = "" if Happening(kind, 0, 0).is_critical else "   nobody has to be woken"
        print(f"{kind:24}{count:>9}{len(after):>7}{times}{minor}")


def _show_false(runs: Sequence[tuple[History, list[Judged]]]) -> None:
    """Each false fire with what was going on."""
    for made, found in runs:
        for each in found:
            for period in each.false:
                at_ms = period.fired_at_ms or 0
                about = [
                    f"{one.kind} {one.job} {one.strength:.2f} for {(one.end - one.start) / 4:g} min"
                    for one in made.happenings
                    if made.ms(one.start) <= at_ms <= made.ms(one.end) + 3_600_000 and one.end - one.start < 2 * DAY
                ]
                when = time.strftime("%a %d %H:%M", time.gmtime(at_ms / 1000))
                labels = {name: text for name, text in period.labels.items() if name not in ("alertname", "severity")}
                print(f"{each.rule.name}: {when} {labels} worst {period.worst:.3g}; {'; '.join(about) or 'nothing'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=int, default=21)
    parser.add_argument("--seeds", type=int, default=1, help="how many histories")
    parser.add_argument("--first-seed", type=int, default=1, help="other histories")
    parser.add_argument("--profile", choices=PROFILE_NAMES, default=DEFAULT_PROFILE)
    parser.add_argument("--show", action="store_true", help="list false fires with what was going on")
    said = parser.parse_args()
    seeds = range(said.first_seed, said.first_seed + said.seeds)
    runs = [judge(said.days, seed, said.profile) for seed in seeds]
    report(runs, said.days, said.show)


if __name__ == "__main__":
    main()
