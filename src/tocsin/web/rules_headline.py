"""The sentences that open the rules, and the page of one rule."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.detect.rules.group_run import GroupRun
from tocsin.detect.rules.library import Unreadable
from tocsin.model.path_check import CHECK
from tocsin.web import format
from tocsin.web.api.rules import Explanation
from tocsin.web.ruling import Ruled, counts
from tocsin.web.words import Headline, Part, Speech, listed

MOST_NAMED = 4


def rules(say: Speech, runs: Sequence[GroupRun], unreadable: Sequence[Unreadable]) -> Headline:
    """How many fire, and which; below it what goes wrong with the rules themselves."""
    found = counts(runs)
    firing = [(run, one) for run in runs for one in run.states if one.state == "firing" and one.rule.name != CHECK]
    firing.sort(key=lambda pair: pair[1].rule.severity)
    watching = found["all"] - found["off"]
    sub = (*_unreadable(unreadable), *_failing(say, runs), *_missed(say, runs), *_off(found["off"]))
    if not found["all"]:
        return Headline("quiet", (Part("There are no rules yet."),), sub)
    if firing:
        names = [Part(state.rule.name, say.link(f"/rules/{state.key}"), True) for _, state in firing[:MOST_NAMED]]
        more = f" and {format.count_word(len(firing) - MOST_NAMED)} more" if len(firing) > MOST_NAMED else ""
        words = f"{len(firing)} of {format.plural(watching, 'rule')} {'fires' if len(firing) == 1 else 'fire'}: "
        return Headline("bad", (Part(words), *listed(names), Part(f"{more}.")), sub)
    if found["pending"]:
        words = f"No rule fires; {format.count_word(found['pending'])} of {watching} {_is(found['pending'])} pending."
        return Headline("warn", (Part(words),), sub)
    state = "warn" if unreadable or found["failing"] else "ok"
    return Headline(state, (Part(f"None of {format.plural(watching, 'rule')} fires."),), sub)


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _unreadable(files: Sequence[Unreadable]) -> tuple[Part, ...]:
    if not files:
        return ()
    names = format.join([one.name for one in files])
    return (Part(f"{names} cannot be read; the rules it had before go on. "),)


def _failing(say: Speech, runs: Sequence[GroupRun]) -> tuple[Part, ...]:
    failing = [state for run in runs for state in run.states if state.error]
    if not failing:
        return ()
    names = [Part(state.rule.name, say.link(f"/rules/{state.key}")) for state in failing[:MOST_NAMED]]
    return (*listed(names), Part(f" cannot be evaluated{' (and others)' if len(failing) > MOST_NAMED else ''}. "))


def _missed(say: Speech, runs: Sequence[GroupRun]) -> tuple[Part, ...]:
    late = [run for run in runs if run.missed]
    if not late:
        return ()
    worst = max(late, key=lambda run: run.missed_at_ms)
    when = say.clock(worst.missed_at_ms * 1_000_000)
    return (Part(f"{worst.name} last missed an evaluation at {when}, {format.plural(worst.missed, 'time')} in all. "),)


def _off(count: int) -> tuple[Part, ...]:
    if not count:
        return ()
    return (Part(f"{format.count_word(count).capitalize()} {_is(count)} switched off or wait for a signal."),)


def rule(say: Speech, ruled: Ruled, why: Explanation) -> Headline:
    """What the rule says at the chosen instant, and why."""
    found = ruled.state.rule
    name = Part(found.name)
    if why.reason:
        return Headline("quiet" if not ruled.state.error else "warn", (name, Part(f": {why.reason}.")))
    if not found.is_alerting:
        words = f" records {format.plural(ruled.state.samples, 'series', 'series')}."
        return Headline("quiet", (name, Part(words)))
    firing = [one for one in why.verdicts if one.state == "firing"]
    pending = [one for one in why.verdicts if one.state == "pending"]
    if firing:
        first = firing[0]
        since = say.clock(int(first.fired_at.timestamp() * 1e9)) if first.fired_at else ""
        words = f" for {_label(first.labels)}" + (
            f" and {format.count_word(len(firing) - 1)} more" if firing[1:] else ""
        )
        return Headline("bad", (name, Part(" fires", is_harm=True), Part(f"{words}, since {since}: {first.reason}.")))
    if pending:
        return Headline("warn", (name, Part(f" is pending for {_label(pending[0].labels)}: {pending[0].reason}.")))
    nearest = why.verdicts[0]
    return Headline("ok", (name, Part(f" does not fire: {nearest.reason}.")))


def _label(labels: dict[str, str]) -> str:
    shown = {key: text for key, text in labels.items() if key not in ("alertname", "severity", "audience")}
    return ", ".join(shown.values()) or "everything"
