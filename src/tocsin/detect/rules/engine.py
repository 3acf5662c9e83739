"""Evaluates all groups of rules by the clock, keeps what is pending over a restart, and tells what fires.

Enters: rule files, a source of series per tenant, a control store. Leaves: samples for `write`, alerts for `sink`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tocsin.alerts.inhibit import InhibitRule
from tocsin.alerts.lead import ALONE, Lead
from tocsin.detect.rules import counters
from tocsin.detect.rules.alerting import RuleState
from tocsin.detect.rules.alertmanagers import Alertmanagers, access_of
from tocsin.detect.rules.demote import judge
from tocsin.detect.rules.evaluation import Surroundings, Written, evaluate_group, switched_off
from tocsin.detect.rules.fresh import Fresh
from tocsin.detect.rules.group_run import GroupRun, names_of, new_run, taken_over
from tocsin.detect.rules.instead_of import inhibitions
from tocsin.detect.rules.kept_states import KeptStates
from tocsin.detect.rules.library import Library, Unreadable
from tocsin.detect.rules.marks import marks_by_rule
from tocsin.detect.rules.over_logs import OpenLines, no_lines
from tocsin.detect.rules.over_rows import CountRows, no_rows
from tocsin.detect.rules.rule import keys_of
from tocsin.detect.rules.teller import AlertSink, Teller
from tocsin.detect.settings import RuleSettings
from tocsin.model.access import Principal
from tocsin.model.rows import EVENTS
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import Source
from tocsin.storage.control.alerts import Marks
from tocsin.storage.control.rules import Rules

log = structlog.get_logger("tocsin.rules")

Write = Callable[[Sequence[Written]], None]
"""Stores samples; raises OSError when it cannot now."""

LOOK_SECONDS = 5.0
JUDGE_SECONDS = 60.0


class RuleEngine:
    """All groups. `groups` may be read at any time; nothing of it may be changed from outside."""

    def __init__(
        self,
        settings: RuleSettings,
        rules: Rules,
        source_of: Callable[[str], Source],
        write: Write,
        sink: AlertSink,
        *,
        external_url: str = "",
        query: QuerySettings | None = None,
        count_rows_of: Callable[[str], CountRows] = lambda tenant: no_rows,
        open_lines_of: Callable[[str], OpenLines] = lambda tenant: no_lines,
        clock: Callable[[], float] = time.time,
        lead: Lead = ALONE,
        marks_of: Callable[[], Sequence[Marks]] = tuple,
    ) -> None:
        self.settings = settings
        self.groups: list[GroupRun] = []
        self.unreadable: list[Unreadable] = []
        self.inhibitions: tuple[InhibitRule, ...] = ()
        self._rules = rules
        self._source_of = source_of
        self._write = write
        self.sink = sink
        self._external_url = external_url
        self._query = query or QuerySettings()
        self._count_rows_of = count_rows_of
        self._open_lines_of = open_lines_of
        self._clock = clock
        self._lead = lead
        self._leads = lead.is_leader
        self._marks_of = marks_of
        self._marks: Mapping[str, Marks] = {}
        self._judged_at = 0.0
        self._around: dict[str, tuple[Surroundings, Fresh]] = {}
        self._library = Library(settings, rules)
        self._kept = KeptStates(rules)
        self.alertmanagers = Alertmanagers(settings.alertmanagers, access_of(settings))
        self._teller = Teller(
            lambda alerts: self.sink(alerts), self.alertmanagers, external_url, settings.resend_seconds
        )
        self._stamp: object = None
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._events_came = False
        self._pool = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="tocsin-rules")
        # Events do not queue behind groups.
        self._quick = ThreadPoolExecutor(1, thread_name_prefix="tocsin-rules-events")
        self._thread = threading.Thread(target=self._run, name="tocsin-rules", daemon=True)

    def start(self) -> None:
        """Each group begins at its next place in time, so that they do not all begin at once."""
        self.reload()
        for run in self.groups:
            run.slot_ms = run.latest_slot_ms(self.now_ms())
        self._thread.start()

    def close(self) -> None:
        """Stop after the evaluations in hand; alerts go on after the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._quick.shutdown(wait=True, cancel_futures=True)
        self.alertmanagers.close()

    def now_ms(self) -> int:
        return int(self._clock() * 1000)

    def reload(self) -> list[Unreadable]:
        """Reads all files anew and gives those that cannot be used, whose former rules go on."""
        with self._lock:
            self._stamp = self._stamp_now()
            found, self.unreadable = self._library.read()
            switches, kept = self._rules.switches(), self._rules.states()
            before = {run.id: run for run in self.groups}
            runs = []
            for loaded in found:
                for group in loaded.file.groups:
                    run = new_run(
                        loaded, group, self.settings.evaluation_interval_seconds, self.settings.query_offset_seconds,
                        switches, kept, self.now_ms(), self.settings.profile,
                    )  # fmt: skip
                    if (old := before.get(run.id)) is not None:
                        taken_over(run, old)
                    runs.append(run)
            self._judge(runs)
            self.groups = runs
            self.inhibitions = inhibitions(loaded.file for loaded in found)
            self._end_what_is_gone(list(before.values()))
            self._count()
        self._wake.set()
        return self.unreadable

    def _judge(self, runs: Sequence[GroupRun]) -> None:
        """By what people said of the alerts of late."""
        self._judged_at = time.monotonic()
        self._marks = marks_by_rule(self._marks_of(), names_of(runs))
        for run in runs:
            self._demote(run)

    def _demote(self, run: GroupRun) -> None:
        judge(run.states, self._marks, self.settings.demote_after, self.settings.demote_false_ratio)

    def _end_what_is_gone(self, before: list[GroupRun]) -> None:
        now_ms = self.now_ms()
        there = {state.key for run in self.groups for state in run.states}
        for run in before:
            gone = [state for state in run.states if state.key not in there]
            for state in gone:
                state.is_on = False
                self._store(run, switched_off(state, now_ms))
            self._teller.tell(replace(run, states=gone), now_ms)
            self._kept.forget([state.key for state in gone if state.key in run.kept])
            if run.id not in {one.id for one in self.groups}:
                counters.forget(run.id)

    def switch(self, actor: Principal, key: str, is_on: bool) -> bool:
        """Switches a rule; False when there is none of this key."""
        with self._lock:
            found = self.find(key)
            if found is None:
                return False
            run, place = found
            state = run.states[place]
            self._rules.switch(actor, key, state.rule.name, is_on)
            state.is_on = is_on
            if not is_on:
                now_ms = self.now_ms()
                self._store(run, switched_off(state, now_ms))
                self._teller.tell(run, now_ms)
                self._kept.keep(run, now_ms)
        return True

    def find(self, key: str) -> tuple[GroupRun, int] | None:
        """A rule by its key: its group, and its place in it."""
        for run in self.groups:
            for place, state in enumerate(run.states):
                if state.key == key:
                    return run, place
        return None

    def find_at(self, address: str) -> RuleState | None:
        """A rule by the address of its page, which its alerts name as their source."""
        _, there, key = urlsplit(address).path.rpartition("/rules/")
        found = self.find(key) if there else None
        return None if found is None else found[0].states[found[1]]

    def key_of(self, run: GroupRun, place: int) -> str:
        return keys_of(run.loaded.file, run.group)[place]

    def events_came(self) -> None:
        """Evaluates the rules over events now; called after a commit, returns at once."""
        self._events_came = True
        self._wake.set()

    def _run(self) -> None:
        looked = time.monotonic()
        while not self._stop.is_set():
            self._wake.clear()
            if self._is_mine():
                self._begin_due()
            if time.monotonic() - looked > LOOK_SECONDS:
                looked = time.monotonic()
                self._look_for_changes()
            self._wake.wait(self._until_next_seconds(self.now_ms()))

    def _begin_due(self) -> None:
        now_ms = self.now_ms()
        if self._events_came:
            self._events_came = False
            self._quick.submit(self._evaluate_events)
        for run in self.groups:
            if run.is_due(now_ms):
                run.is_running = True
                self._pool.submit(self._evaluate, run)

    def _is_mine(self) -> bool:
        """Whether this server evaluates; one that takes over goes on with what the one before it has kept."""
        was, self._leads = self._leads, self._lead.is_leader
        if self._leads and not was:
            self._leads = False  # until it is read
            try:
                self._read_anew()
            except SQLAlchemyError as error:
                log.warning("rules.not_taken_over", error=str(error))
                return False
            self._leads = True
        return self._leads

    def _read_anew(self) -> None:
        """All rules with their states as they are kept, whatever this server knew of them."""
        with self._lock:
            self.groups = []
            self.reload()

    def _until_next_seconds(self, now_ms: int) -> float:
        waits = [run.latest_slot_ms(now_ms) + run.interval_ms - now_ms for run in self.groups]
        return max(0.01, min([*(wait / 1000 for wait in waits), 1.0]))

    def _look_for_changes(self) -> None:
        try:
            if not self._leads:
                self._read_anew()
            elif self._stamp != self._stamp_now():
                self.reload()
            elif time.monotonic() - self._judged_at > JUDGE_SECONDS:
                self._judge(self.groups)
        except SQLAlchemyError as error:
            log.warning("rules.not_reloaded", error=str(error))

    def _stamp_now(self) -> object:
        """Changes when a file of the folder does, or what other servers on this control store write about rules."""
        return self._library.stamp(), self._rules.stamp() if self._lead.is_shared else None

    def evaluate_due(self) -> None:
        """Evaluates, in this thread, every group that is due now; for tests and for who turns the clock."""
        for run in list(self.groups):
            if run.is_due(self.now_ms()):
                self._evaluate(run)

    def _evaluate(self, run: GroupRun) -> None:
        before_missed = run.missed
        at_ms = run.begin(self.now_ms())
        started = time.perf_counter()
        try:
            self._evaluate_at(run, at_ms)
            run.failure = ""
        except Exception as error:
            run.failure = f"cannot evaluate group '{run.name}': {error}; this is a fault of the server, see its log"
            log.exception("rules.group_failed", group=run.id)
        finally:
            run.is_running = False
            run.seconds = time.perf_counter() - started
        counters.iterations.labels(run.id).inc(1 + run.missed - before_missed)
        counters.missed.labels(run.id).inc(run.missed - before_missed)
        counters.last_duration.labels(run.id).set(run.seconds)
        counters.last_evaluation.labels(run.id).set(at_ms / 1000)
        self._wake.set()

    def _evaluate_at(self, run: GroupRun, at_ms: int) -> None:
        around, _ = self._surroundings(run.tenant)
        errors_before = sum(state.template_errors for state in run.states)
        evaluate_group(run.group, run.states, around, at_ms, lambda written: self._store(run, written))
        counters.template_errors.inc(sum(state.template_errors for state in run.states) - errors_before)
        if not self._lead.is_leader:
            return  # it took so long that another server goes on
        self._count_rules(run)
        self._teller.tell(run, at_ms)
        self._kept.keep(run, at_ms)
        self._demote(run)  # now that it is known what is active

    def _evaluate_events(self) -> None:
        """The rules over events alone, between the times of their groups."""
        now_ms = self.now_ms()
        for run in list(self.groups):
            states = [state for state in run.states if state.rule.over == EVENTS and state.is_on]
            if states and not run.is_running:
                self._evaluate_at(replace(run, states=states), now_ms)

    def _surroundings(self, tenant: str) -> tuple[Surroundings, Fresh]:
        if tenant not in self._around:
            fresh = Fresh(self._source_of(tenant))
            around = Surroundings(
                fresh, self._query, external_url=self._external_url,
                count_rows=self._count_rows_of(tenant), open_lines=self._open_lines_of(tenant),
            )  # fmt: skip
            self._around[tenant] = around, fresh
        return self._around[tenant]

    def with_recent(self, tenant: str, source: Source) -> Source:
        """A source with what rules of a tenant, '' for those of the platform, wrote in the last seconds."""
        return self._surroundings(tenant)[1].over(source)

    def _store(self, run: GroupRun, written: Sequence[Written]) -> None:
        if not written:
            return
        self._surroundings(run.tenant)[1].note(written)
        try:
            self._write(written)
        except OSError as error:
            counters.not_written.inc(len(written))
            log.warning("rules.not_written", group=run.id, error=str(error))

    def _count_rules(self, run: GroupRun) -> None:
        for state in run.states:
            if state.is_on:
                counters.evaluation_seconds.observe(state.seconds)
                counters.evaluations.labels(run.id).inc()
                counters.failures.labels(run.id).inc(1 if state.error else 0)
        counters.samples.labels(run.id).set(sum(state.samples for state in run.states))

    def _count(self) -> None:
        counters.unreadable_files.set(len(self.unreadable))
        for run in self.groups:
            counters.interval.labels(run.id).set(run.interval_ms / 1000)
            counters.rules.labels(run.id).set(len(run.group.rules))
