"""What the SDK can be told: keyword arguments first, then the environment, then these defaults."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any
from urllib.parse import unquote

from tocsin.sdk.logs.levels import level_of
from tocsin.sdk.release import find_commit, find_release
from tocsin.sdk.transport import Transport

TenantCallable = Callable[[Mapping[str, Any]], "str | None"]

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class SettingsError(ValueError):
    """A setting that cannot be used; the message says which and what to write instead."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One field a setting; the comment after each says when to change it."""

    # Where the Tocsin server listens for OTLP/HTTP; change it as soon as the server is on another machine.
    endpoint: str = "http://127.0.0.1:4318"
    # The ingest key of this product; needed unless the server is on loopback and open.
    ingest_key: str = field(default="", repr=False)
    # The name this product has on every page; set it once per deployable.
    service: str = "unknown_service"
    # production, staging, …; set it when more than one environment sends to the same server.
    environment: str = ""
    # The release, such as a version or commit, which makes a deploy visible on the charts; unless set, what the
    # platform's variables or `.git` say.
    release: str = ""
    # The commit that runs; unless set, what the platform's variables or `.git` say.
    commit: str = ""
    # Where the tenant of a request is found: `header:X-Tenant-ID`, `jwt:org_id`, `subdomain`, `path:org_id`,
    # several separated by commas (first hit wins), or a callable taking the ASGI scope.
    tenant: str | TenantCallable = ""
    # True: only `set_tenant` and a callable name the tenant, what a client claims in header, JWT or host does not.
    tenant_trusted_only: bool = False
    # `production` or `development`: other defaults for some settings, see PRESETS below; empty leaves them as here.
    preset: str = ""
    # False turns everything off; the app then runs as if the SDK were not there.
    enabled: bool = True
    # Beginnings of paths that are passed on unwatched, such as `/healthz`; set it for probes that only make noise.
    exclude: tuple[str, ...] = ()
    # 0–1, the share of requests whose trace is kept; lower it above some hundred requests/s. Numbers stay exact.
    sample_ratio: float = 1.0
    # Traces a tenant keeps per second and process whatever the ratio; raise it to see more of small tenants.
    sample_minimum_per_second: int = 1
    # Seconds after which a request is slow: its trace is always kept and it is logged once to `tocsin.slow`.
    slow_seconds: float = 1.0
    # Slow requests logged per second and process at most; the rest are counted in the last line.
    slow_logs_per_second: int = 5
    # Spans kept in memory until the next batch; raise it when tocsin.sdk.dropped shows reason queue_full.
    queue_spans: int = 8192
    # Bytes of encoded batches kept while the server is away; raise it to ride out longer outages.
    queue_bytes: int = 16 * 1024 * 1024
    # Spans of one request; beyond it they are counted, not kept. Raise it for long jobs.
    spans_per_trace: int = 1000
    # Attributes (and events) of one span; beyond it they are counted, not kept.
    attributes_per_span: int = 64
    # Characters of one attribute value; longer ones are cut.
    attribute_characters: int = 4096
    # Distinct route × status × tenant combinations counted apart per second; the rest go to tenant `other`.
    red_keys: int = 5000
    # Tenants shown apart at the app's own /metrics, the rest as `other`; 0 leaves tenants out there.
    metrics_tenants: int = 50
    # Seconds between batches of spans under load; larger batches hold the GIL longer and hurt p99.
    batch_seconds: float = 0.5
    # Seconds between exports of metrics.
    metrics_seconds: float = 1.0
    # Seconds one export may take before it is given up and retried.
    timeout_seconds: float = 5.0
    # Seconds the process may wait at exit for the last batch.
    exit_flush_seconds: float = 2.0
    # gzip, none, or auto (gzip unless the server is on this machine, where CPU is dearer than the loopback).
    compression: str = "auto"
    # Added µs per request (median) past which the SDK sheds its dearest parts; 0 never sheds.
    overhead_budget_us: float = 300.0
    # 0-1, the share of requests whose need of memory is measured, where they have the process to themselves; about
    # 0.1 ms each, so raise it when memory is the question.
    allocation_ratio: float = 0.0
    # Routes that are critical operations, counted apart: `login=POST /auth/login, user_delete=DELETE /users/{id}`, or
    # the same as a mapping; set it for what must not fail.
    critical: str = ""
    # False: only those are; the usual routes of signing in, users, organisations, flags and admin are not known.
    critical_defaults: bool = True
    # What is watched inside the app: empty for everything there is, `-redis` for all but that, `redis,httpx` for only
    # those, `-all` for nothing.
    instruments: str = ""
    # Equal queries in one request that are named as N+1; 0 names none.
    repeated_queries: int = 10
    # Seconds after which a query is slow: its line is noted and its plan asked for.
    slow_query_seconds: float = 0.1
    # False: no EXPLAIN is ever run.
    explain: bool = True
    # Seconds after which whoever holds a database connection is named.
    held_connection_seconds: float = 5.0
    # Seconds after which a Redis command is slow: its line is noted.
    slow_command_seconds: float = 0.01
    # Seconds after which a background job is slow: its trace is always kept.
    slow_job_seconds: float = 30.0
    # Seconds that the event loop may stand still before whoever blocks it is named.
    loop_lag_seconds: float = 0.1
    # 0-1, the share of statements on tables of tenants that are held against the request's tenant; 0 switches it off.
    isolation_ratio: float = 1.0
    # Columns that name the tenant of a row, such as `org_id`; empty for the usual names, see docs/isolation.md.
    isolation_columns: tuple[str, ...] = ()
    # Tables that belong to everybody although they have such a column.
    isolation_exempt_tables: tuple[str, ...] = ()
    # Values in such columns that stand for every tenant, such as `*`.
    isolation_shared: tuple[str, ...] = ()
    # How keys of Redis name their tenant, such as `org:{tenant}:*`; without `{tenant}` they are everybody's.
    isolation_key_patterns: tuple[str, ...] = ()
    # Arguments of background jobs that name a tenant, beside those called like tenant columns.
    isolation_job_arguments: tuple[str, ...] = ()
    # Tenants that no customer has: a row of theirs that is read in whatever work is a crossing.
    isolation_canary: tuple[str, ...] = ()
    # Seconds that memory has to grow steadily before it is called a leak; less finds it sooner and is wrong more often.
    leak_window_seconds: float = 1800.0
    # Query parameters whose value is replaced by REDACTED, compared in lower case; add your own secrets.
    redact: tuple[str, ...] = (
        "password", "passwd", "secret", "token", "access_token", "refresh_token", "id_token", "api_key", "apikey",
        "key", "code", "state", "session", "signature", "sig", "auth", "authorization", "email",
        "x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-goog-signature",
    )  # fmt: skip
    # Fields whose value is secret wherever they stand, beside those that their name gives away, such as `password`.
    redact_fields: tuple[str, ...] = ()
    # Regular expressions of what else is secret in any text.
    redact_patterns: tuple[str, ...] = ()
    # True: e-mail addresses and telephone numbers are taken out of logs and exceptions, too.
    redact_personal: bool = False
    # The least level of the app's log records that are sent; `off` sends none.
    log_level: str = "INFO"
    # Loggers whose records are not sent: requests have spans and numbers, a line for each would say it once more.
    log_exclude: tuple[str, ...] = ("uvicorn.access", "gunicorn.access", "hypercorn.access", "_granian.access")
    # Records a second of one line of code; the rest are counted in its next one. 0 sends them all.
    log_rate: float = 100.0
    # Log records kept in memory until the next batch; raise it when tocsin.sdk.dropped shows logs, queue_full.
    queue_logs: int = 8192
    # Takes (signal, body) and gives a Response instead of the HTTP client; for servers in the same process.
    transport: Transport | None = None

    def __post_init__(self) -> None:
        for check in _CHECKS:
            check(self)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
        """Settings from keyword arguments, then the environment, then the preset, then the defaults.

        Raises SettingsError for an unknown name or a value that cannot be used.
        """
        known = {f.name for f in fields(cls)}
        unknown = [name for name in arguments if name not in known]
        if unknown:
            raise SettingsError(f"cannot use setting {unknown[0]!r}: it does not exist; {_nearest(unknown[0], known)}")
        values = from_environment(os.environ if environ is None else environ)
        values.update(arguments)
        if "critical" in values:
            from tocsin.sdk.critical_routes import as_text

            values["critical"] = as_text(values["critical"])
        values = {**_of_preset(values.get("preset", "")), **values}
        values.update(_found_release(values, os.environ if environ is None else environ))
        return cls(**values)

    def with_(self, **changes: Any) -> Settings:
        """These settings with some replaced."""
        return replace(self, **changes)


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings that the environment names, by field name. Raises SettingsError on a value of the wrong kind."""
    resource = _resource_attributes(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    found: dict[str, Any] = {}
    for name, keys, convert in _ENVIRONMENT:
        key = next((key for key in keys if environ.get(key)), None)
        if key is not None:
            found[name] = convert(key, environ[key])
    for name, keys in _RESOURCE_FALLBACK.items():
        value = next((resource[key] for key in keys if resource.get(key)), None)
        if value is not None:
            found.setdefault(name, value)
    if any(environ.get(key, "").strip().lower() in _FALSE for key in _SWITCHES):
        found["enabled"] = False
    return found


def _found_release(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Release and commit, as far as nobody has said them."""
    if values.get("enabled") is False or ("release" in values and "commit" in values):
        return {}
    commit = values["commit"] if "commit" in values else find_commit(environ)
    found = {"commit": commit, "release": find_release(environ, commit)}
    return {name: value for name, value in found.items() if name not in values}


def _of_preset(name: str) -> dict[str, Any]:
    if name and name not in PRESETS:
        raise SettingsError(f"cannot use preset {name!r}: it does not exist; write {' or '.join(PRESETS)}")
    return PRESETS.get(name, {})


def host_name() -> str:
    return socket.gethostname()


def _text(_key: str, value: str) -> str:
    return value.strip()


def _paths(_key: str, value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _number(key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise SettingsError(f"cannot read {key}={value!r}: not a number; write one such as 0.1") from error


def _whole_number(key: str, value: str) -> int:
    number = _number(key, value)
    if number != int(number) or number < 1:
        raise SettingsError(f"cannot read {key}={value!r}: not a whole number above 0; write one such as 8192")
    return int(number)


def _count(key: str, value: str) -> int:
    return 0 if value.strip() == "0" else _whole_number(key, value)


def _switch(key: str, value: str) -> bool:
    word = value.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise SettingsError(f"cannot read {key}={value!r}: neither true nor false; write true or false")


# The server's half of them, under the same names, is in app/settings.py.
PRESETS: dict[str, dict[str, Any]] = {
    "production": {"environment": "production", "sample_ratio": 1.0},
    # A tenth of the traces, though each failed and slow one still; --reload does not wait for the last batch.
    "development": {"environment": "development", "sample_ratio": 0.1, "exit_flush_seconds": 0.5},
}

_SWITCHES = ("TOCSIN_ENABLED", "MONITORING_ENABLED", "MONITORING_MIDDLEWARE_ENABLED")
_ENVIRONMENT: tuple[tuple[str, tuple[str, ...], Callable[[str, str], Any]], ...] = (
    ("endpoint", ("TOCSIN_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"), _text),
    ("ingest_key", ("TOCSIN_INGEST_KEY",), _text),
    ("service", ("TOCSIN_SERVICE", "OTEL_SERVICE_NAME"), _text),
    ("environment", ("TOCSIN_ENVIRONMENT",), _text),
    ("preset", ("TOCSIN_PRESET",), _text),
    ("release", ("TOCSIN_RELEASE",), _text),
    ("commit", ("TOCSIN_COMMIT",), _text),
    ("critical", ("TOCSIN_CRITICAL",), _text),
    ("critical_defaults", ("TOCSIN_CRITICAL_DEFAULTS",), _switch),
    ("tenant", ("TOCSIN_TENANT",), _text),
    ("exclude", ("TOCSIN_EXCLUDE",), _paths),
    ("sample_ratio", ("TOCSIN_SAMPLE_RATIO", "METRICS_SAMPLING_RATE"), _number),
    ("slow_seconds", ("TOCSIN_SLOW_SECONDS",), _number),
    ("overhead_budget_us", ("TOCSIN_OVERHEAD_BUDGET_US",), _number),
    ("allocation_ratio", ("TOCSIN_ALLOCATION_RATIO",), _number),
    ("metrics_tenants", ("TOCSIN_METRICS_TENANTS",), _count),
    ("queue_spans", ("TOCSIN_QUEUE_SPANS",), _whole_number),
    ("queue_bytes", ("TOCSIN_QUEUE_BYTES",), _whole_number),
    ("instruments", ("TOCSIN_INSTRUMENTS",), _text),
    ("slow_query_seconds", ("TOCSIN_SLOW_QUERY_SECONDS",), _number),
    ("leak_window_seconds", ("TOCSIN_LEAK_WINDOW_SECONDS",), _number),
    ("explain", ("TOCSIN_EXPLAIN",), _switch),
    ("isolation_ratio", ("TOCSIN_ISOLATION_RATIO",), _number),
    ("isolation_columns", ("TOCSIN_ISOLATION_COLUMNS",), _paths),
    ("isolation_exempt_tables", ("TOCSIN_ISOLATION_EXEMPT_TABLES",), _paths),
    ("isolation_shared", ("TOCSIN_ISOLATION_SHARED",), _paths),
    ("isolation_key_patterns", ("TOCSIN_ISOLATION_KEY_PATTERNS",), _paths),
    ("isolation_canary", ("TOCSIN_ISOLATION_CANARY",), _paths),
    ("isolation_job_arguments", ("TOCSIN_ISOLATION_JOB_ARGUMENTS",), _paths),
    ("slow_job_seconds", ("TOCSIN_SLOW_JOB_SECONDS",), _number),
    ("log_level", ("TOCSIN_LOG_LEVEL",), _text),
    ("log_exclude", ("TOCSIN_LOG_EXCLUDE",), _paths),
    ("log_rate", ("TOCSIN_LOG_RATE",), _number),
    ("queue_logs", ("TOCSIN_QUEUE_LOGS",), _whole_number),
    ("redact_fields", ("TOCSIN_REDACT_FIELDS",), _paths),
    ("redact_personal", ("TOCSIN_REDACT_PERSONAL",), _switch),
    ("enabled", ("TOCSIN_ENABLED",), _switch),
)
VARIABLES = frozenset(key for _, keys, _ in _ENVIRONMENT for key in keys) | {"TOCSIN_WORKER_GROUP"}
"""All that the SDK reads; a server started from the same environment passes over them."""

_RESOURCE_FALLBACK = {
    "service": ("service.name",),
    "release": ("service.version",),
    "environment": ("deployment.environment.name", "deployment.environment"),
}


def _resource_attributes(text: str) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {key.strip(): unquote(value.strip()) for key, _, value in pairs}


def _nearest(name: str, known: set[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else "see docs/sdk.md for every setting"


def _check_ratio(settings: Settings) -> None:
    if not 0.0 <= settings.sample_ratio <= 1.0:
        raise SettingsError(f"cannot sample at {settings.sample_ratio!r}: not within 0–1; write 0.1 for one in ten")
    if not 0.0 <= settings.allocation_ratio <= 1.0:
        raise SettingsError(
            f"cannot measure the memory of {settings.allocation_ratio!r} of the requests: not within 0–1; "
            f"write 0.01 for one in a hundred"
        )
    if not 0.0 <= settings.isolation_ratio <= 1.0:
        raise SettingsError(
            f"cannot check {settings.isolation_ratio!r} of the statements: not within 0–1; write 0.1 for one in ten"
        )


def _check_endpoint(settings: Settings) -> None:
    if not settings.endpoint.startswith(("http://", "https://")):
        raise SettingsError(
            f"cannot export to {settings.endpoint!r}: no http:// or https:// address; "
            "write one such as http://127.0.0.1:4318"
        )


def _check_compression(settings: Settings) -> None:
    if settings.compression not in ("auto", "gzip", "none"):
        raise SettingsError(f"cannot compress with {settings.compression!r}: unknown; write auto, gzip or none")


def _check_tenant(settings: Settings) -> None:
    from tocsin.sdk.tenant import parse_resolvers

    parse_resolvers(settings.tenant)


def _check_critical(settings: Settings) -> None:
    from tocsin.sdk.critical_routes import CriticalError, parse

    try:
        parse(settings.critical)
    except CriticalError as error:
        raise SettingsError(str(error)) from error


def _check_leak_window(settings: Settings) -> None:
    if settings.leak_window_seconds < 60:
        raise SettingsError(
            f"cannot look for leaks within {settings.leak_window_seconds!r} s: too short to tell one from a warm-up; "
            "write 60 or more, such as 1800"
        )


def _check_logs(settings: Settings) -> None:
    from tocsin.sdk.redaction import Redactor

    try:
        level_of(settings.log_level)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    if settings.log_rate < 0:
        raise SettingsError(f"cannot send {settings.log_rate!r} log records a second: below 0; write 0 to send all")
    try:
        Redactor(settings.redact_fields, settings.redact_patterns)
    except re.error as error:
        raise SettingsError(
            f"cannot redact {error.pattern!r}: {error}; correct the expression in redact_patterns"
        ) from error


_CHECKS = (_check_ratio, _check_endpoint, _check_compression, _check_tenant, _check_critical, _check_leak_window,
           _check_logs)  # fmt: skip
