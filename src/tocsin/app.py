"""The only composition root: builds a whole server out of its settings, runs it, and closes it again.

Enters: a `Config`. Leaves: an ASGI application with everything behind it. Called by `tocsin serve`, by
`tocsin.embed` and by tests; nothing else puts parts together.
"""

from __future__ import annotations

import asyncio
import atexit
import ipaddress
import os
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from tocsin.alerts.config import AlertConfig, AlertConfigError, with_route_for
from tocsin.alerts.config_file import ConfigFile
from tocsin.alerts.correlate import cause_of
from tocsin.alerts.dispatch import Pipeline
from tocsin.alerts.handling import Handler
from tocsin.alerts.lead import ALONE, Lead, Leadership
from tocsin.alerts.settings import AlertSettings
from tocsin.alerts.topology import ServiceTopology
from tocsin.collect.local import LocalScraper, collector_settings, collectors
from tocsin.collect.loki_config import LokiConfigError, load_loki_retention
from tocsin.collect.scrape import Scraper, ScrapeSettings, config_of
from tocsin.collect.tail import Tailer
from tocsin.collect.tail_settings import TailSettings
from tocsin.config import DEFAULT, PRESET, Config, ConfigError, load
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
from tocsin.ingest.loki import PATHS as LOKI_PATHS
from tocsin.ingest.loki import LokiPush
from tocsin.ingest.otlp_grpc import OtlpGrpc
from tocsin.ingest.otlp_http import OtlpHttp
from tocsin.ingest.own_events import INFO, admit_event
from tocsin.ingest.remote_write import PATHS as WRITE_PATHS
from tocsin.ingest.remote_write import RemoteWrite
from tocsin.ingest.syslog import SyslogListener, SyslogSettings
from tocsin.ingest.validate import parse
from tocsin.model.clock import utc_now
from tocsin.model.delivery import Acknowledgement
from tocsin.model.log_levels import least_number
from tocsin.model.notification import Notification
from tocsin.model.notification_plain import notification_of
from tocsin.model.path_check import CHECK_LABEL
from tocsin.model.settings import Preset, setting
from tocsin.model.tenant import PLATFORM
from tocsin.model.tenant import Scope as TenantScope
from tocsin.notify.acknowledge import Acknowledgements
from tocsin.notify.chart import Picture, chart_of
from tocsin.notify.contract import channel_settings
from tocsin.notify.deliver import Deliverer
from tocsin.notify.path import PathWatch
from tocsin.notify.receivers import Receivers, alertmanager_receivers, own_receivers
from tocsin.notify.settings import NotifySettings
from tocsin.notify.summary import Summaries
from tocsin.notify.template import Templates
from tocsin.notify.trial import is_by_hand
from tocsin.query.log_source import LogSource
from tocsin.query.logql.settings import LogQuerySettings
from tocsin.query.metric_reader import MetricReader
from tocsin.query.promql.settings import QuerySettings as PromQLSettings
from tocsin.query.store_reader import StoreReader
from tocsin.query.templates.parse import TemplateError
from tocsin.sdk.middleware import instrument
from tocsin.sdk.transport import Response
from tocsin.storage.control import AuthSettings, ControlSettings, ControlStore
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
from tocsin.web.white_label import SiteSettings

log = structlog.get_logger("tocsin.server")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class ServerSettings:
    """Where the server listens and keeps its state."""

    host: str = setting(
        "127.0.0.1", help="Address to listen on; 0.0.0.0 to be reached from other machines, which makes keys required."
    )
    port: int = setting(4318, help="Port for the pages, REST and OTLP/HTTP; 0 takes a free one.", env=("TOCSIN_PORT",))
    grpc_port: int | None = setting(
        4317, help="Port for OTLP/gRPC; 0 takes a free one, -1 turns it off.", env=("TOCSIN_GRPC_PORT",)
    )
    data: str = setting("tocsin-data", help="Folder for everything the server keeps.", env=("TOCSIN_DATA",))
    trusted_proxies: tuple[str, ...] = setting(
        (),
        help="Addresses or networks of reverse proxies, such as 127.0.0.1 or 10.0.0.0/8, whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed; set it behind one, or all visitors count as one address.",
    )
    spool_stuck_seconds: float = setting(
        60.0,
        unit="seconds",
        help="Age of telemetry in the spool from which the server calls itself degraded.",
    )

    def __post_init__(self) -> None:
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError as error:
                raise ValueError(
                    f"trusted_proxies names {proxy!r}: {error}; write an address such as 127.0.0.1 or a network such "
                    "as 10.0.0.0/8"
                ) from error

    self_metrics_seconds: float = setting(
        15.0,
        unit="seconds",
        help="Time between two looks of the server at its own metrics, which it keeps like others.",
    )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


SECTIONS: dict[str, type] = {
    "server": ServerSettings,
    "auth": AuthSettings,
    "control": ControlSettings,
    "ingest": IngestSettings,
    "series": SeriesSettings,
    "scrape": ScrapeSettings,
    **collector_settings(),
    "logs": TailSettings,
    "syslog": SyslogSettings,
    "notify": NotifySettings,
    **channel_settings(),
    "spool": SpoolSettings,
    "writer": WriterSettings,
    "query": QuerySettings,
    "promql": PromQLSettings,
    "logql": LogQuerySettings,
    "alerting": AlertSettings,
    "retention": RetentionSettings,
    "engine": ChdbSettings,
    "rules": RuleSettings,
    "log_patterns": PatternSettings,
    "site": SiteSettings,
}
# The SDK's half of them, under the same names, is in sdk/settings.py.
PRESETS: dict[str, Preset] = {
    "production": Preset(
        "A server that others rely on, behind TLS: every sender has a key, cookies travel over https alone, and a "
        "forgotten browser is signed out within the hour.",
        {
            "auth.secure_cookies": True,
            "auth.session_idle_seconds": "1h",
            "ingest.require_key": True,
            "spool.min_free_bytes": "1GiB",
        },
    ),
    "development": Preset(
        "Your own machine: what you did is on the page at once, a day of it is kept, and the engine takes less memory.",
        {
            "writer.idle_seconds": "250ms",
            "retention.traces_hours": 24,
            "retention.logs_hours": 24,
            "retention.metrics_hours": 24,
            "engine.memory_bytes": "1GiB",
        },
    ),
}


class Vitals:
    """How the server is doing, cheap enough to be asked all the time."""

    def __init__(self, spool: Spool, writer: Writer, stuck_seconds: float) -> None:
        self.version = version("tocsin")
        self._spool = spool
        self._writer = writer
        self._stuck_seconds = stuck_seconds
        self._started = time.monotonic()
        self._age = (0.0, 0.0)  # when it was looked up, and the answer

    @property
    def uptime_seconds(self) -> float:
        return round(time.monotonic() - self._started, 1)

    @property
    def spool_bytes(self) -> int:
        return self._spool.waiting_bytes

    @property
    def spool_age_seconds(self) -> float:
        now = time.monotonic()
        if now - self._age[0] > 1:
            self._age = (now, self._spool.age_seconds())
        return self._age[1]

    @property
    def writer_problem(self) -> str:
        return self._writer.last_error

    @property
    def is_well(self) -> bool:
        return self.spool_age_seconds < self._stuck_seconds and self._spool.has_room

    @property
    def status(self) -> str:
        return "ok" if self.is_well else "degraded"


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
            external_url=self.settings[AlertSettings].external_url,
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


class Front:
    """Sends what is pushed in to ingest and everything else to the site, so that the hot path meets no routing."""

    def __init__(self, otlp: OtlpHttp, remote_write: RemoteWrite, loki: LokiPush, site: FastAPI) -> None:
        self._otlp = otlp
        self._remote_write = remote_write
        self._loki = loki
        self.site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            root = len(scope.get("root_path", ""))
            if scope["path"].startswith("/v1/", root):
                await self._otlp(scope, receive, send)
                return
            if scope["path"].endswith("/write", root) and scope["path"][root:] in WRITE_PATHS:
                await self._remote_write(scope, receive, send)
                return
            if scope["path"].endswith("/push", root) and scope["path"][root:] in LOKI_PATHS:
                await self._loki(scope, receive, send)
                return
        await self.site(scope, receive, send)


class Embedded:
    """A whole server inside an application's own process: an ASGI application to mount.

    It opens on its first use rather than when it is made, so that a process which only imports the application, or
    forks workers from it, opens no store. One process owns the data folder; a second worker gets EngineError.
    """

    def __init__(self, config: Config, path: str) -> None:
        self._config = config
        self._path = path
        self._opening = threading.Lock()
        self._server: Server | None = None

    def server(self) -> Server:
        """The running server. Raises what `Server` raises."""
        with self._opening:
            if self._server is None:
                server = Server(self._config)
                server.start()
                atexit.register(server.close)
                if link := server.setup_link(self._path):
                    log.warning("monitoring.setup", create_the_administrator_at=link)
                self._server = server
            return self._server

    def take(self, signal: str, body: bytes) -> Response:
        """The SDK's way to the store without a network in between."""
        kind = Signal(signal)
        try:
            admission = self.server().gate.admit(kind, body, parse(kind, body), None)
            admission.stored.result()
        except Refused as refused:
            return Response(refused.status, retry_after_seconds=refused.retry_seconds, cause=refused.message)
        except (EngineError, OSError) as error:
            return Response(0, cause=str(error))
        return Response(200)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        server = await asyncio.to_thread(self.server) if self._server is None else self._server
        await server.asgi(scope, receive, send)


def embed(app: Any, *, path: str = "/monitoring", data: str | None = None, **options: Any) -> None:
    """Mount the whole server inside `app` at `path` and instrument the app towards it: no second service.

    For a product that runs as one process. `data` is the folder for what the server keeps; `options` are those of
    `tocsin.instrument`. The administrator's one-time link is logged at the first request. Needs tocsin[server].
    """
    overrides = {"server.data": data, "server.grpc_port": -1, "ingest.require_key": True}
    embedded = Embedded(configuration(overrides), path)
    app.mount(path, embedded)
    excluded = (*options.pop("exclude", ()), path)
    instrument(app, transport=embedded.take, compression="none", exclude=excluded, **options)


def server_id(data: Path) -> str:
    """A name for the server of this data folder, the same after a restart."""
    file = data / "server-id"
    if not file.exists():
        file.write_text(f"{socket.gethostname()[:60]}-{secrets.token_hex(4)}\n")
    return file.read_text().strip()


def make_private(data: Path) -> None:
    """Make the data folder if it is missing, for its owner alone: it holds password hashes and what customers sent."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)


def open_control(config: Config) -> ControlStore:
    """The control store these settings name. Raises StoreUnusable."""
    data = Path(config[ServerSettings].data).absolute()
    make_private(data)
    control = config[ControlSettings]
    return ControlStore.open(control.url_with(data), control=control, auth=config[AuthSettings])


def open_deliverer(config: Config, control: ControlStore, alerts: AlertConfig | None = None) -> Deliverer:
    """Delivery to the receivers of an alertmanager.yml, if there is one, and to those of these settings.

    It tells nobody before `start`, apart from what it is given.
    """
    templates = templates_of(alerts) if alerts is not None else None
    made = Deliverer(control.deliveries, receivers_of(config, alerts), config[NotifySettings], templates=templates)
    made.push = control.push
    return made


def templates_of(alerts: AlertConfig) -> Templates:
    """Those of the files an alertmanager.yml names, and the default ones. Raises AlertConfigError."""
    try:
        return Templates.of_files(alerts.template_files())
    except TemplateError as error:
        raise AlertConfigError(str(error)) from error


def receivers_of(config: Config, alerts: AlertConfig | None) -> Receivers:
    """Those of an alertmanager.yml, if there is one, and those of these settings."""
    receivers = own_receivers(config[NotifySettings], config.__getitem__)
    if alerts is not None and config[AlertSettings].config_file:
        listed = [{"name": one.name, **one.integrations} for one in alerts.receivers]
        document = {"global": alerts.shared, "receivers": listed}
        receivers = alertmanager_receivers(document, Path(alerts.folder)).with_others(receivers)
    return receivers


def configuration(overrides: dict[str, Any] | None = None, toml: Path | None = None) -> Config:
    """The settings of this process: tocsin.toml here (or `toml`), the environment, then `overrides`.

    Raises ConfigError.
    """
    path = toml or Path("tocsin.toml")
    is_there = toml is not None or path.exists()
    return _with_loki(load(SECTIONS, path if is_there else None, os.environ, overrides or {}, PRESETS))


def _with_loki(config: Config) -> Config:
    """With the retention of a loki-config.yml, if one is named and logs have none of their own."""
    settings, key = config[RetentionSettings], ("retention", "logs_hours")
    if not settings.loki_file:
        return config
    try:
        found = load_loki_retention(Path(settings.loki_file))
        for sentence in found.ignored:
            log.warning("retention.not_carried_out", what=sentence, file=settings.loki_file)
        if found.hours is None or not config.origins[key].startswith((DEFAULT, PRESET)):
            return config
        taken = replace(settings, logs_hours=found.hours)
    except (LokiConfigError, ValueError) as error:
        raise ConfigError(str(error)) from error
    origins = {**config.origins, key: Path(settings.loki_file).name}
    return replace(config, sections={**config.sections, "retention": taken}, origins=origins)
