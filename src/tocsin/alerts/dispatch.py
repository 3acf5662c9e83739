"""The loop between alerts and messages: it reads the state, does the difference, writes it down, then has it told.

Everything that decides is written in the control store before anything is sent, a notification as a row with a unique
key: a server that dies in between sends it at the next start, and one that died afterwards does not send it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tocsin.alerts import counters
from tocsin.alerts.book import Book
from tocsin.alerts.config import AlertConfig
from tocsin.alerts.decide import Circumstances, Hold, holds_on_alert, suppression
from tocsin.alerts.digests import digest_writing
from tocsin.alerts.flush import log_after, look_at, notification_of, writing_of
from tocsin.alerts.group import ALL_RESOLVED, Group
from tocsin.alerts.inhibit import Inhibitor, InhibitRule
from tocsin.alerts.intake import Refused, Room, Taken, taken_in
from tocsin.alerts.lead import ALONE, Lead
from tocsin.alerts.outbox import Deliver, Outbox
from tocsin.alerts.route import Route
from tocsin.alerts.routed import Mutes, rerouted, with_routes
from tocsin.alerts.settings import AlertSettings
from tocsin.alerts.silence import Silencer
from tocsin.alerts.turns import LONGEST_SLEEP_SECONDS, Turns
from tocsin.alerts.under_way import UnderWay
from tocsin.model.alert import Alert
from tocsin.model.alert_state import AlertChange, Change, KnownAlert, change_of
from tocsin.model.clock import Clock, utc_now
from tocsin.model.notification import Notification, Outcome, Receipt
from tocsin.model.told import GroupLog, group_id
from tocsin.storage.control import ControlStore
from tocsin.storage.control.notifications import Writing

log = structlog.get_logger("tocsin.alerts")
PRUNE_SECONDS = 3600.0
HEARD = timedelta(seconds=30)  # longer than clocks of servers differ

Cause = Callable[[Sequence[Alert]], str]
"""Says in a sentence why alerts belong together and which of them is the likely root."""


class Pipeline:
    """Alerts in, notifications out. Every method may be called from any thread."""

    def __init__(
        self,
        control: ControlStore,
        config: AlertConfig,
        settings: AlertSettings,
        deliver: Deliver,
        *,
        clock: Clock = utc_now,
        executor: Executor | None = None,
        cause: Cause | None = None,
        lead: Lead = ALONE,
    ) -> None:
        self.control = control
        self.config = config
        self.settings = settings
        self.clock = clock
        self.lead = lead
        self.started_at = clock()
        self.refused = 0
        self.more_inhibitions: Callable[[], tuple[InhibitRule, ...]] = tuple  # of the rules that are evaluated here
        self._cause = cause or (lambda alerts: "")
        self._lock = threading.RLock()
        self.resume: Callable[[], None] = lambda: None  # deliveries that another server has begun
        self.on_acknowledged: Callable[[str], None] = lambda group_key: None  # must not wait
        self.on_declared: Callable[[str, str], None] = lambda group_key, user: None  # must not wait
        self._leads = False
        self._heard_at = self.started_at
        self._outbox = Outbox(deliver, self._ended, clock, executor, lambda: lead.is_leader)
        self._under_way = UnderWay(self._outbox, settings)
        self._turns = Turns(self._turn)
        self._book = self._recalled(self.started_at)
        self._cooldowns = control.notifications.cooldowns()
        self._mutes = Mutes()
        self._routes_noted: Route | None = None  # the tree by which the history says where alerts go
        self._pruned_at = self.started_at
        self._around = Circumstances(Inhibitor(()), Silencer(()))
        self._under_way.recall(control.notifications, self.started_at)

    # What others call.

    def accept(self, alerts: Sequence[Alert]) -> None:
        """Keeps alerts as their source says they are. Raises Refused when some of them cannot be kept."""
        with self._lock:
            now = self.clock()
            book = self._book
            room = Room(book.alerts, len(book.alerts), self.settings.most_alerts)

            def take(before: Mapping[str, KnownAlert]) -> Taken:
                found = taken_in(alerts, before, now, self.config.resolve_timeout_seconds, room)
                return with_routes(found, self.config.route)

            if self.lead.is_shared:
                # Another server may have taken the same alert a moment ago: what it wrote decides.
                got = self.control.alerts.take({alert.fingerprint for alert in alerts}, take)
            else:
                missing = {alert.fingerprint for alert in alerts} - book.alerts.keys()
                got = take(self.control.alerts.found(missing) | book.alerts if missing else book.alerts)
                self.control.alerts.save(got.known.values(), got.changes)
            for key, known in got.known.items():
                book.keep(key, known, now)
            self.refused += len(got.problems)
            counters.received.inc(len(got.known))
            counters.refused.inc(len(got.problems))
        self.wake()
        if got.problems:
            raise Refused(f"cannot keep {'; '.join(got.problems[:5])}")

    def use(self, config: AlertConfig) -> None:
        """Route by another configuration from now on; what was told stays told."""
        with self._lock:
            self.config = config
            self._book = self._book.rerouted(config.route, self.clock())
        self.wake()

    def wake(self) -> None:
        """Look at once: something changed."""
        self._turns.wake()

    @property
    def problem(self) -> str:
        """Of the last look, '' when all is well."""
        return self._turns.problem

    def known(self) -> dict[str, KnownAlert]:
        """What is open now, by fingerprint."""
        with self._lock:
            return dict(self._book.alerts)

    def groups(self) -> list[Group]:
        with self._lock:
            return [replace(group, members=set(group.members)) for group in self._book.groups.values() if group.members]

    def log_of(self, receiver: str, key: str) -> GroupLog | None:
        with self._lock:
            return self._book.logs.get(group_id(receiver, key))

    def held(self) -> dict[str, list[Notification]]:
        """Notifications that wait for a digest, by receiver."""
        with self._lock:
            return self._under_way.held

    def circumstances(self) -> Circumstances:
        """What the stages look at, as it is now."""
        with self._lock:
            self._read_circumstances()
            return self._around

    def handled(self, known: KnownAlert) -> None:
        """Takes over what somebody did about an alert, once it is written down."""
        with self._lock:
            now = self.clock()
            if known.fingerprint in self._book.alerts:
                self._book.keep(known.fingerprint, known, now)
            if not known.is_firing(now):
                self._book.firing.discard(known.fingerprint)
        self.wake()

    def members(self, fingerprint: str) -> dict[str, list[KnownAlert]]:
        """What is known of the groups of this alert, by their keys."""
        with self._lock:
            groups = [group for group in self._book.groups.values() if fingerprint in group.members]
            return {group.key: [self._book.alerts[key] for key in group.members] for group in groups}

    def start(self) -> None:
        """Begin to tell, with what was left over when the server ended; where several share, once this one leads."""
        self._turns.start()

    def close(self) -> None:
        self._turns.close()
        self._outbox.close()

    def tick(self) -> datetime:
        """One look at everything that is due; when the next one is. Safe to call at any time."""
        with self._lock:
            now = self.clock()
            if ended := self._book.note_ended(now):
                self.control.alerts.note(ended)
            if self._routes_noted is not self.config.route:
                self._note_routes(now)
            counters.firing.set(len(self._book.firing))
            ready = [group for group in self._book.groups.values() if not self._is_waiting(group)]
            if due := [group for group in ready if group.next_flush <= now]:
                self._read_circumstances()
                self._flush(sorted(due, key=self._book.urgency), now)
            self._digest(now)
            if now >= self._pruned_at + timedelta(seconds=PRUNE_SECONDS):
                self._prune(now)
            upcoming = [group.next_flush for group in self._book.groups.values() if not self._is_waiting(group)]
            return min([*upcoming, *self._under_way.times(), now + timedelta(seconds=LONGEST_SLEEP_SECONDS)])

    # The loop.

    def _turn(self) -> float:
        """Seconds to the next. Of several servers one looks at what is due; the others only see what it does."""
        was, self._leads = self._leads, self.lead.is_leader
        if not self._leads:
            self._see_anew()
            return LONGEST_SLEEP_SECONDS
        if not was:
            self._take_over()
        elif self.lead.is_shared:
            self._hear_others()
        return (self.tick() - self.clock()).total_seconds()

    def _see_anew(self) -> None:
        with self._lock:
            self._book = self._recalled(self.clock())

    def _recalled(self, now: datetime) -> Book:
        timeout = timedelta(seconds=self.config.resolve_timeout_seconds)
        return Book.recalled(self.config.route, self.control, now, timeout)

    def _take_over(self) -> None:
        """From now on this server tells, first what the one before it had written down and not told."""
        with self._lock:
            if self.lead.is_shared:
                self._see_anew()
                self._cooldowns = self.control.notifications.cooldowns()
                self._under_way.recall(self.control.notifications, self.clock())
            self._tell_pending()

    def _tell_pending(self) -> None:
        """What was written down and is not being told by this server."""
        for made in self.control.notifications.pending():
            id = group_id(made.receiver, made.group_key)
            if not self._under_way.has(id):
                self._under_way.tell(made, id if id in self._book.logs else "", None)
        self.resume()

    def _hear_others(self) -> None:
        """Alerts that other servers were sent, what people did there, and what one left that led before."""
        with self._lock:
            now = self.clock()
            if now >= self._heard_at + HEARD:
                self._heard_at = now
                self._tell_pending()
            self._book.hear(self.control.alerts.open(since=now - HEARD), now)

    def _read_circumstances(self) -> None:
        now = self.clock()
        alerts = (known.alert for known in self._book.alerts.values() if known.is_firing(now))
        self._around = Circumstances(
            Inhibitor.over((*self.config.inhibit_rules, *self.more_inhibitions()), alerts),
            Silencer.over(self.control.silences.unexpired()),
            tuple(self.control.maintenances.running()),
            self.config.intervals,
            self._cooldowns,
            self.settings.cooldown_seconds(),
        )

    # Telling groups.

    def _note_routes(self, now: datetime) -> None:
        """Where alerts that fire go from now on, where that is not where they went."""
        firing = [self._book.alerts[key] for key in self._book.firing]
        before = self.control.alerts.routes({known.fingerprint for known in firing})
        if changes := rerouted(firing, before, self.config.route, now):
            self.control.alerts.note(changes)
        self._routes_noted = self.config.route

    def _is_waiting(self, group: Group) -> bool:
        return self._under_way.has(group_id(group.route.receiver, group.key))

    def _flush(self, due: Sequence[Group], now: datetime) -> None:
        on_alert: dict[str, list[Hold]] = {}
        writings: list[tuple[Group, Writing]] = []
        touched: dict[str, KnownAlert] = {}
        changes: list[AlertChange] = []
        for group in due:
            members = [self._book.alerts[key] for key in group.members]
            for known in members:
                if known.fingerprint not in on_alert:
                    on_alert[known.fingerprint] = holds_on_alert(known, self._around, now)
                    if (noted := suppression(known, on_alert[known.fingerprint], now)) is not None:
                        self._book.alerts[known.fingerprint] = touched[known.fingerprint] = noted[0]
                        changes.append(noted[1])
            group.flushed(now)
            writing = self._writing_for(group, members, on_alert, now, changes)
            if writing is None:
                touched |= self._book.drop_resolved(group)
            else:
                writings.append((group, writing))
        if touched or changes:
            self.control.alerts.save(touched.values(), changes)
        self._write(writings, now)
        self._book.forget_empty(due)

    def _writing_for(
        self,
        group: Group,
        members: Sequence[KnownAlert],
        on_alert: dict[str, list[Hold]],
        now: datetime,
        changes: list[AlertChange],
    ) -> Writing | None:
        """What is to be written and told of a group; None when nothing is. changes: gets what its route holds back."""
        logged = self._book.log_for(group)
        sends_resolved = self.config.receiver(group.route.receiver).sends_resolved
        look = look_at(group, members, on_alert, logged.told, self._around, sends_resolved, now)
        changes += self._mutes.noted(members, group.route.receiver, look.held, now)
        if not look.reason:
            return None
        after = log_after(logged, look, now)
        if look.reason == ALL_RESOLVED and not sends_resolved:
            return Writing(after, logged.told, now)
        made = notification_of(group, look, logged, now, sends_resolved)
        return self._notifying(made, look.reason, logged, after, now)

    def _notifying(self, bare: Notification, reason: str, logged: GroupLog, after: GroupLog, now: datetime) -> Writing:
        cause = self._cause(bare.firing) if len(bare.firing) > 1 else ""
        made = replace(bare, external_url=self.settings.external_url, cause=cause)
        return writing_of(made, reason, self._under_way.why_hold(made, now), logged, after, self._around)

    def _write(self, writings: Sequence[tuple[Group, Writing]], now: datetime) -> None:
        """Writes all down in one transaction, then has them told."""
        if not writings:
            return
        # Two routes may lead the same group to the same receiver: told once, as in Alertmanager.
        unique = {writing.log.id: writing for _, writing in reversed(writings)}
        written = self.control.notifications.write(list(unique.values()))
        touched: dict[str, KnownAlert] = {}
        for writing in unique.values():
            if writing.notification is None or writing.notification.key in written:
                self._book.logs[writing.log.id] = writing.log
                self._cooldowns.update(writing.cooldowns)
        for group, writing in writings:
            made = writing.notification
            if made is not None and made.key not in written:
                self._catch_up(group, writing, now)
            elif made is None or writing.is_held:
                touched |= self._book.drop_resolved(group)
        for writing in unique.values():
            if writing.notification is not None and writing.notification.key in written:
                self._under_way.go(writing, writing.notification, now)
        if touched:
            self.control.alerts.save(touched.values())

    def _catch_up(self, group: Group, writing: Writing, now: datetime) -> None:
        """Another server on this store told the group meanwhile: what it said decides what is still to be said."""
        found = self.control.notifications.log(writing.log.id)
        if found is not None:
            self._book.logs[found.id] = found
            group.next_flush = now

    def _ended(self, notification: Notification, receipt: Receipt) -> None:
        """What became of a notification: told for good, or its group is told again at its next look."""
        has_failed = receipt.outcome is Outcome.FAILED
        counters.notifications.labels(notification.receiver, receipt.outcome.value).inc()
        detail = {"receiver": notification.receiver, "reason": receipt.reason, "key": notification.key}
        changes = [change_of(alert, receipt.at, Change.FAILED, **detail) for alert in notification.alerts if has_failed]
        id = group_id(notification.receiver, notification.group_key)
        try:
            self.control.notifications.end(notification.key, receipt, changes)
        except SQLAlchemyError as error:
            log.warning("alerts.receipt_lost", key=notification.key, error=str(error))
        with self._lock:
            before = self._under_way.ended(id)
            if has_failed and id in self._book.logs:
                log.warning("alerts.not_delivered", receiver=notification.receiver, reason=receipt.reason)
                self._book.logs[id] = replace(self._book.logs[id], told=before)
            elif touched := self._book.drop_told(notification):
                self.control.alerts.save(touched.values())
        self.wake()

    def _digest(self, now: datetime) -> None:
        """One notification for everything that was held, where its time has come."""
        for waited in self._under_way.take_due(now):
            writing = digest_writing(waited, self._book, self._cause, now)
            written = self.control.notifications.write([writing])
            self._book.logs[writing.log.id] = writing.log
            if written and writing.notification is not None:
                self._under_way.go(writing, writing.notification, now)

    def _prune(self, now: datetime) -> None:
        self._pruned_at = now
        before = now - timedelta(hours=self.settings.history_hours)
        self.control.alerts.prune(before)
        self.control.notifications.prune(before)
        self.control.silences.prune(before)
        self._book.forget_logs(before)
        self._mutes.forget(self._book.alerts)
        self._cooldowns = {key: each for key, each in self._cooldowns.items() if each.told_at >= before}
