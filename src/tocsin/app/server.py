"""The composition root: builds a whole server out of its settings, runs it, and closes it again.

Enters: a `Config`. Leaves: an ASGI application with everything behind it. Called by `tocsin serve`, by
`tocsin.embed` and by tests; nothing else puts parts together.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tocsin.alerts.config import AlertConfig, with_route_for
from tocsin.alerts.config_file import ConfigFile
from tocsin.alerts.correlate import cause_of
from tocsin.alerts.dispatch import Pipeline
from tocsin.alerts.handling import Handler
from tocsin.alerts.lead import ALONE, Lead, Leadership
from tocsin.alerts.settings import AlertSettings
from tocsin.alerts.topology import ServiceTopology
from tocsin.app.front import Front
from tocsin.app.parts import (
    external_url_of,
    make_private,
    open_control,
    open_deliverer,
    receivers_of,
    server_id,
    templates_of,
)
from tocsin.app.settings import ServerSettings
from tocsin.app.vitals import Vitals
from tocsin.collect.local import LocalScraper, collectors
from tocsin.collect.scrape import Scraper, ScrapeSettings, config_of
from tocsin.collect.tail import Tailer
from tocsin.collect.tail_settings import TailSettings
from tocsin.config import Config
from tocsin.detect.path_check import PathEntry
from tocsin.detect.patterns.news import News
from tocsin.detect.patterns.settings import PatternSettings
from tocsin.detect.patterns.watch import PatternWatch
from tocsin.detect.rules.engine import RuleEngine
from tocsin.detect.rules.over_rows import rows_of
from tocsin.detect.rules.replay import measured_by
from tocsin.detect.rules.writing import writer_to
from tocsin.detect.settings import RuleSettings
from tocsin.ingest.gate import Admission, Gate, IngestSettings, Refused
from tocsin.ingest.known_series import SeriesSettings
from tocsin.ingest.loki import LokiPush
from tocsin.ingest.otlp_grpc import OtlpGrpc
from tocsin.ingest.otlp_http import OtlpHttp
from tocsin.ingest.own_events import INFO, admit_event
from tocsin.ingest.remote_write import RemoteWrite
from tocsin.ingest.syslog import SyslogListener, SyslogSettings
from tocsin.model.clock import utc_now
from tocsin.model.delivery import Acknowledgement, Declaration, Release
from tocsin.model.log_levels import least_number
from tocsin.model.notification import Notification
from tocsin.model.notification_plain import notification_of
from tocsin.model.path_check import CHECK_LABEL
from tocsin.model.tenant import PLATFORM
from tocsin.model.tenant import Scope as TenantScope
from tocsin.notify.acknowledge import Acknowledgements
from tocsin.notify.chart import Picture, chart_of
from tocsin.notify.path import PathWatch
from tocsin.notify.settings import NotifySettings
from tocsin.notify.summary import Summaries
from tocsin.notify.trial import is_by_hand
from tocsin.query.log_source import LogSource
from tocsin.query.metric_reader import MetricReader
from tocsin.query.promql.settings import QuerySettings as PromQLSettings
from tocsin.query.store_reader import StoreReader
from tocsin.storage.control.keyring import KeyRing
from tocsin.storage.keeping import Keeping
from tocsin.storage.telemetry.arrivals import Arrivals
from tocsin.storage.telemetry.chdb import ChdbEngine, ChdbSettings
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.downsample import Downsampler
from tocsin.storage.telemetry.engine import EngineError
from tocsin.storage.telemetry.migrate import migrate
from tocsin.storage.telemetry.residency import release_library_pages
from tocsin.storage.telemetry.retention import RetentionSettings
from tocsin.storage.telemetry.spool import Spool, SpoolSettings
from tocsin.storage.telemetry.store import QuerySettings, TelemetryStore
from tocsin.storage.telemetry.writer import Writer, WriterSettings
from tocsin.web.application import build_site
from tocsin.web.health_summary import health_report
from tocsin.web.self_metrics import exposition

log = structlog.get_logger("tocsin.server")


class Server:
    """One running server: its stores, its spool and its writer, behind the ASGI callable `asgi`.

    Raises StoreUnusable, EngineError or OSError when something it needs cannot be opened.
    """

    def __init__(self, config: Config) -> None:
        self.settings = config
        self.config = config[ServerSettings]
        self.data = Path(self.config.data).absolute()
        make_private(self.data)
        self.control = open_control(config)
        self.engine = ChdbEngine(self.data / "telemetry", config[ChdbSettings])
        self.migrated = migrate(self.engine)
        self.keeping = Keeping(self.engine, self.control, config[RetentionSettings], self.data)
        self.keeping.apply()
        self.store = TelemetryStore(self.engine, config[QuerySettings])
        self.spool = Spool(self.data / "spool", config[SpoolSettings])
        self.downsampler = Downsampler(self.engine, lambda: self.gate.known_series.take_late_hours())
        self.log_arrivals = Arrivals()
        self.writer = Writer(
            self.spool,
            self.engine,
            self.data / "rejected",
            config[WriterSettings],
            self._on_commit,
            lambda signal: signal is Signal.LOGS and self.log_arrivals.is_followed,
        )
        self.vitals = Vitals(self.spool, self.writer, self.config.spool_stuck_seconds)
        self.keyring = KeyRing(self.control.keys)
        ingest = config[IngestSettings]
        self.gate = Gate(
            self.spool,
            self.keyring.find,
            replace(ingest, require_key=ingest.require_key or not self.config.is_local),
            series=config[SeriesSettings],
        )
        self.scraper = self._new_scraper()
        self.tailer = Tailer(config[TailSettings], self.data / "tail", self._admit_logs)
        self.syslog = SyslogListener(config[SyslogSettings], self._admit_logs)
        alerting = config[AlertSettings]
        self.alert_config = ConfigFile(alerting.config_file)
        self.alert_config.use = self._use_alert_config
        self.deliverer = open_deliverer(config, self.control, self.alert_config.config)
        self.deliverer.draw = self._draw
        self.lead = self._new_lead()
        self.deliverer.may_send = lambda notification: self.lead.is_leader or is_by_hand(notification)
        self.acknowledgements = Acknowledgements(self.deliverer)
        self.acknowledgements.listeners.append(self._acknowledged)
        self.acknowledgements.on_release = self._released
        self.acknowledgements.on_resolve = self._resolved
        self.acknowledgements.on_declare = self._declared
        self.acknowledgements.on_room = lambda group_key, room: Handler(self.alerts).gather(group_key, room)
        self.topology = ServiceTopology(self.store)
        self.alerts = Pipeline(
            self.control,
            self._with_check(self.alert_config.config),
            alerting,
            self.deliverer.deliver,
            cause=lambda alerts: cause_of(alerts, self.topology()),
            lead=self.lead,
        )
        self.alerts.resume = self.deliverer.start
        self.alerts.on_acknowledged = self.acknowledgements.tell_soon
        self.alerts.on_declared = self.acknowledgements.gather_soon
        self.rules = self._new_rules()
        self.patterns = PatternWatch(self.store, self._tell_of_pattern, config[PatternSettings])
        self.alerts.more_inhibitions = lambda: self.rules.inhibitions
        self.path = PathWatch(self.deliverer, PathEntry(self.gate, self.rules, version("tocsin")))
        self.path.is_here = lambda: self.lead.is_leader
        self.summaries = Summaries(self.deliverer, lambda window: health_report(self, window))
        self.summaries.is_here = lambda: self.lead.is_leader
        self.local_token = secrets.token_urlsafe(32)
        self.asgi = Front(OtlpHttp(self.gate), RemoteWrite(self.gate), LokiPush(self.gate), build_site(self))
        self._pruning = threading.Event()

    def start(self) -> None:
        """Begin to move telemetry into the store; requests may be served from now on."""
        release_library_pages()
        self.keyring.start()
        self.writer.start()
        self.downsampler.start()
        self.scraper.start()
        self.tailer.start()
        if isinstance(self.lead, Leadership):
            self.lead.start()
        self.syslog.start()
        self.alerts.start()
        self.alert_config.start()
        self.rules.start()
        self.patterns.start()
        self.acknowledgements.start()
        self.path.start()
        self.summaries.start()
        token = self.data / "local-token"
        token.unlink(missing_ok=True)
        with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.local_token)
        threading.Thread(target=self._prune, name="tocsin-prune", daemon=True).start()

    def close(self) -> None:
        """Stop taking telemetry, keep what is spooled for the next start, and release the stores."""
        self._pruning.set()
        self.path.close()
        self.summaries.close()
        self.patterns.close()
        self.alert_config.close()
        self.rules.close()
        self.alerts.close()
        self.acknowledgements.close()
        self.deliverer.close()
        self.syslog.close()
        self.tailer.close()
        if isinstance(self.lead, Leadership):
            self.lead.close()
        self.scraper.close()
        self.downsampler.close()
        self.spool.close()
        self.writer.close()
        self.keyring.stop()
        self.engine.close()
        self.control.close()
        (self.data / "local-token").unlink(missing_ok=True)

    def reload(self) -> list[str]:
        """Read the rule files and the alertmanager.yml anew; what of them cannot be used, its former state goes on."""
        bad = [f"{one.name}: {one.reason}" for one in self.rules.reload()]
        problem = self.alert_config.reload()
        return [*bad, *([problem] if problem else [])]

    def _use_alert_config(self, config: AlertConfig) -> None:
        templates = templates_of(config)
        # Receivers first: routes must lead nowhere that is not there yet.
        self.deliverer.receivers, self.deliverer.templates = receivers_of(self.settings, config), templates
        self.alerts.use(self._with_check(config))

    def _with_check(self, config: AlertConfig) -> AlertConfig:
        """With the route by which synthetic alerts prove the path."""
        return with_route_for(config, CHECK_LABEL, self.settings[NotifySettings].test_receiver)

    def metrics(self, scope: TenantScope) -> MetricReader:
        """The series that whoever has this scope may read."""
        return StoreReader(self.store, scope, self.settings[PromQLSettings].max_samples)

    def _new_rules(self) -> RuleEngine:
        return RuleEngine(
            self.settings[RuleSettings],
            self.control.rules,
            lambda tenant: self.metrics(_scope_of(tenant)),
            writer_to(self.gate.admit_samples),
            self.alerts.accept,
            external_url=external_url_of(self.settings),
            query=self.settings[PromQLSettings],
            count_rows_of=lambda tenant: rows_of(self.store, _scope_of(tenant)),
            lead=self.lead,
            open_lines_of=lambda tenant: lambda: LogSource(self.store, _scope_of(tenant)),
            marks_of=lambda: self.control.alerts.marks(start=utc_now() - self._history()),
        )

    def _history(self) -> timedelta:
        """How long it is known what alerts did."""
        return timedelta(hours=self.settings[AlertSettings].history_hours)

    def _new_lead(self) -> Lead:
        """Who evaluates and tells: this server, or one of those that share its control store."""
        if not self.control.is_shared:
            return ALONE
        return Leadership(self.control.leases, server_id(self.data), self.settings[AlertSettings].lease_seconds)

    def _admit_logs(self, request: Any) -> Admission:
        """What the server itself collected: an OTLP request, without a key."""
        return self.gate.admit(Signal.LOGS, None, request, None)

    def _on_commit(self, signal: Signal) -> None:
        if signal is Signal.LOGS:  # events are log records with a name
            self.log_arrivals.came()
            self.rules.events_came()
            self.patterns.lines_came()

    def _tell_of_pattern(self, news: News) -> None:
        resource = {
            "service.name": news.service,
            "service.version": news.release,
            "deployment.environment.name": news.environment,
        }
        attributes = {**news.attributes, "tocsin.tenant": news.tenant}
        severity = least_number(news.level) if news.level else INFO
        try:
            admit_event(self.gate, None, news.name, news.body, time.time_ns(), resource, attributes, severity)
        except Refused as refused:
            raise OSError(refused.message) from refused

    def _acknowledged(self, said: Acknowledgement) -> None:
        for delivery in self.control.deliveries.of_key(said.key)[:1]:
            Handler(self.alerts).acknowledge_told(notification_of(delivery.notification), said.by, said.channel)

    def _released(self, said: Release) -> None:
        for delivery in self.control.deliveries.of_key(said.key)[:1]:
            told = notification_of(delivery.notification)
            Handler(self.alerts).release_told(told, said.by, said.channel, said.is_closed)

    def _resolved(self, said: Release) -> None:
        for delivery in self.control.deliveries.of_key(said.key)[:1]:
            Handler(self.alerts).resolve_told(notification_of(delivery.notification), said.by, said.channel)

    def _declared(self, said: Declaration) -> None:
        for delivery in self.control.deliveries.of_key(said.key)[:1]:
            told = notification_of(delivery.notification)
            Handler(self.alerts).declare_told(told, said.by, said.channel, said.user)

    def _draw(self, notification: Notification) -> Picture | None:
        """The chart of a mail; a store that does not answer must not keep the mail."""
        try:
            return chart_of(notification, self.metrics(PLATFORM), self.settings[PromQLSettings], self._measured_at)
        except EngineError as error:
            log.warning("notify.chart_failed", error=str(error))
            return None

    def _measured_at(self, source: str) -> tuple[str, float | None] | None:
        """What one of our rules measures, by the address of its page; what is no PromQL is not drawn."""
        found = self.rules.find_at(source)
        if found is None:
            return None
        parts = measured_by(found.rule)
        return ("", None) if found.rule.over else (parts.text, parts.threshold)

    def restart_collectors(self) -> None:
        """Scrape and collect anew, by the scrape configuration as it is now. Raises ScrapeConfigError."""
        fresh = self._new_scraper()
        self.scraper.close()
        self.scraper = fresh
        fresh.start()

    def _new_scraper(self) -> Scraper:
        submit = self.gate.admit_samples
        own = LocalScraper("tocsin", lambda: exposition(self)[0].decode(), self.config.self_metrics_seconds, submit)
        local = [own, *collectors(self.settings.__getitem__, submit)]
        return Scraper(config_of(self.settings[ScrapeSettings]), submit, local)

    def setup_link(self, base_url: str) -> str | None:
        """The one-time link that creates the first administrator; None once there is one."""
        issued = self.control.setup.first_admin_link()
        return f"{base_url}/setup/{issued.secret}" if issued else None

    def readiness_problem(self) -> str:
        """'' when both stores answer, else which one does not."""
        try:
            self.store.is_answering()
        except EngineError as error:
            return f"telemetry store: {error}"
        problem = self.control_problem()
        return f"control store: {problem}" if problem else ""

    def control_problem(self) -> str:
        """'' when the control store answers, else why not."""
        try:
            self.control.check()
        except SQLAlchemyError as error:
            return str(error)
        return ""

    @asynccontextmanager
    async def grpc_listening(self) -> AsyncIterator[int | None]:
        """Take OTLP/gRPC in this event loop meanwhile; gives the port, None when it is turned off. Raises OSError."""
        if self.config.grpc_port is None or self.config.grpc_port < 0:
            yield None
            return
        grpc = OtlpGrpc(self.gate)
        port = await grpc.start(self.config.host, self.config.grpc_port)
        try:
            yield port
        finally:
            await grpc.stop()

    def _prune(self) -> None:
        while not self._pruning.wait(3600):
            try:
                self.control.prune()
                # Another server on the same control store may have placed or lifted a hold.
                self.keeping.apply()
            except (SQLAlchemyError, EngineError) as error:
                log.warning("control.prune_failed", error=str(error))


def _scope_of(tenant: str) -> TenantScope:
    return TenantScope.of(tenant) if tenant else PLATFORM
