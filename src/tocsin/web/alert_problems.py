"""What is wrong with alerting itself: files and rules that cannot be used, words that cannot be filled, receivers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from starlette.requests import HTTPConnection

from tocsin.detect.rules.group_run import GroupRun
from tocsin.detect.rules.library import Unreadable
from tocsin.web.format import plural
from tocsin.web.ruling import engine_of

MOST = 5
"""Faults of one kind that are said in full; the others are counted."""


def faults(request: HTTPConnection) -> list[str]:
    """Of the alertmanager.yml, the rules, the Alertmanagers they tell, and the templates of messages."""
    state = request.app.state.tocsin
    config, deliverer = getattr(state, "alert_config", None), getattr(state, "deliverer", None)
    found = [f"{config.problem}; what it said before is in force"] if config is not None and config.problem else []
    if (engine := engine_of(request)) is not None:
        found += [*rule_faults(engine.groups, engine.unreadable), *engine.alertmanagers.problems]
    return found + (list(deliverer.template_faults.values())[:3] if deliverer is not None else [])


def rule_faults(groups: Sequence[GroupRun], unreadable: Sequence[Unreadable]) -> list[str]:
    """Each with the rule's or the file's name and its cause."""
    files = (f"rule file '{one.name}' cannot be read: {one.reason}; its former rules go on" for one in unreadable)
    groups_failing = (f"rule group '{run.name}' cannot be evaluated: {run.failure}" for run in groups if run.failure)
    states = [state for run in groups for state in run.states if state.is_on]
    failing = (f"rule '{one.rule.name}' cannot be evaluated: {one.error}" for one in states if one.error)
    unfilled = (
        f"words of rule '{one.rule.name}' cannot be filled: {one.words_error}" for one in states if one.words_error
    )
    return [*_few(files, "rule files"), *_few((*groups_failing, *failing), "rules"), *_few(unfilled, "rules")]


def untold(failures: Iterable[tuple[str, str]]) -> list[str]:
    """(receiver, reason) of what could not be told, the newest first; what is there twice is said once."""
    said = (f"receiver '{receiver}' could not be told: {reason}" for receiver, reason in failures)
    return list(_few(said, "receivers, see Channels"))


def _few(faults: Iterable[str], what: str) -> Iterator[str]:
    unique = list(dict.fromkeys(faults))
    yield from unique[:MOST]
    if len(unique) > MOST:
        yield f"{plural(len(unique) - MOST, 'fault')} more of {what}"
