"""The settings of a server: every section by its name, the presets, and how they are filled."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from tocsin.alerts.settings import AlertSettings
from tocsin.collect.local import collector_settings
from tocsin.collect.loki_config import LokiConfigError, load_loki_retention
from tocsin.collect.scrape import ScrapeSettings
from tocsin.collect.tail_settings import TailSettings
from tocsin.config import DEFAULT, PRESET, Config, ConfigError, load
from tocsin.detect.patterns.settings import PatternSettings
from tocsin.detect.settings import RuleSettings
from tocsin.ingest.gate import IngestSettings
from tocsin.ingest.known_series import SeriesSettings
from tocsin.ingest.syslog import SyslogSettings
from tocsin.model.settings import Preset, setting
from tocsin.notify.contract import channel_settings
from tocsin.notify.settings import NotifySettings
from tocsin.query.logql.settings import LogQuerySettings
from tocsin.query.promql.settings import QuerySettings as PromQLSettings
from tocsin.storage.control import AuthSettings, ControlSettings
from tocsin.storage.telemetry.chdb import ChdbSettings
from tocsin.storage.telemetry.retention import RetentionSettings
from tocsin.storage.telemetry.spool import SpoolSettings
from tocsin.storage.telemetry.store import QuerySettings
from tocsin.storage.telemetry.writer import WriterSettings
from tocsin.web.white_label import SiteSettings

log = structlog.get_logger("tocsin.server")


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
    self_metrics_seconds: float = setting(
        15.0,
        unit="seconds",
        help="Time between two looks of the server at its own metrics, which it keeps like others.",
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
