"""One group under way: when it is due, the states of its rules, and how its evaluations went."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.detect.rules.alerting import RuleState, restored
from tocsin.detect.rules.library import Loaded
from tocsin.detect.rules.rule import Group, keys_of
from tocsin.model.control import RuleSwitch


@dataclass(slots=True)
class GroupRun:
    """A group with everything that changes about it. Times in unix milliseconds."""

    loaded: Loaded
    group: Group
    interval_ms: int
    states: list[RuleState]
    slot_ms: int = 0
    """The time that was taken up last; 0 before the first."""
    is_running: bool = False
    iterations: int = 0
    missed: int = 0
    missed_at_ms: int = 0
    seconds: float = 0.0
    failure: str = ""
    untold: str = ""
    """What of its alerts nobody took, and why; '' when all were taken."""
    kept: set[str] = field(default_factory=set)
    """Keys of the rules whose state is in the control store."""

    @property
    def file(self) -> str:
        return self.loaded.file.name

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def tenant(self) -> str:
        return self.loaded.file.tenant

    @property
    def id(self) -> str:
        return f"{self.file};{self.name}"

    @property
    def offset_ms(self) -> int:
        """Where in its interval it is evaluated: groups spread evenly, each always at the same place."""
        digest = hashlib.sha256(f"{self.file};{self.name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.interval_ms

    def latest_slot_ms(self, now_ms: int) -> int:
        """The last time before now at which it had to be evaluated."""
        return (now_ms - self.offset_ms) // self.interval_ms * self.interval_ms + self.offset_ms

    def is_due(self, now_ms: int) -> bool:
        return not self.is_running and self.latest_slot_ms(now_ms) > self.slot_ms

    def begin(self, now_ms: int) -> int:
        """Takes up the latest time that is due; those between it and the last are missed."""
        slot_ms = self.latest_slot_ms(now_ms)
        if self.slot_ms and (behind := (slot_ms - self.slot_ms) // self.interval_ms - 1) > 0:
            self.missed += behind
            self.missed_at_ms = slot_ms
        self.slot_ms, self.is_running = slot_ms, True
        self.iterations += 1
        return slot_ms

    @property
    def evaluated_at_ms(self) -> int:
        """0 before the first evaluation."""
        return self.slot_ms if self.iterations else 0

    @property
    def errors(self) -> list[str]:
        """What is wrong now, one sentence a rule."""
        found = [problem for problem in (self.failure, self.untold) if problem]
        return found + [f"{state.rule.name}: {state.error}" for state in self.states if state.error]


def new_run(
    loaded: Loaded,
    group: Group,
    default_interval_seconds: float,
    default_offset_seconds: float,
    switches: Mapping[str, RuleSwitch],
    kept: Mapping[str, Mapping[str, Any]],
    now_ms: int,
    profile: str,
) -> GroupRun:
    """The group with what was known of its rules before the start."""
    states = []
    for key, rule in zip(keys_of(loaded.file, group), group.rules, strict=True):
        switch = switches.get(key)
        state = RuleState(
            key, rule, labels_of(loaded, group, rule), is_on=switch.is_on if switch else rule.is_on_with(profile)
        )
        if key in kept:
            state.alerts = restored(rule, kept[key], now_ms)
        states.append(state)
    interval = group.interval_seconds or default_interval_seconds
    if group.query_offset_seconds is None and default_offset_seconds:
        group = _with_offset(group, default_offset_seconds)
    return GroupRun(
        loaded, group, max(1000, round(interval * 1000)), states, kept={one.key for one in states if one.key in kept}
    )


def labels_of(loaded: Loaded, group: Group, rule: Any) -> dict[str, str]:
    """A rule's labels with its group's; what a tenant's rules say is that tenant's."""
    labels = group.labels_of(rule)
    return {**labels, "tenant": loaded.file.tenant} if loaded.file.tenant else labels


def _with_offset(group: Group, seconds: float) -> Group:
    return Group(group.name, group.rules, group.interval_seconds, group.limit, seconds, group.labels, group.line)


def taken_over(new: GroupRun, old: GroupRun) -> None:
    """After a reload rules go on where those of the same file, group, name and labels were."""
    before = {state.key: state for state in old.states}
    for state in new.states:
        if (held := before.pop(state.key, None)) is not None:
            state.alerts, state.written = held.alerts, held.written
            state.evaluated_at_ms, state.seconds, state.error = held.evaluated_at_ms, held.seconds, held.error
    new.slot_ms, new.iterations, new.missed, new.missed_at_ms = (
        old.slot_ms,
        old.iterations,
        old.missed,
        old.missed_at_ms,
    )
    new.kept, new.seconds = old.kept, old.seconds


def names_of(runs: Iterable[GroupRun]) -> dict[str, str]:
    """Of all alerting rules, by key."""
    return {state.key: state.rule.name for run in runs for state in run.states if state.rule.is_alerting}
