"""How long telemetry is kept: the settings and legal holds as TTL clauses on the tables, applied at every start."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from tocsin.model.log_levels import LEVELS
from tocsin.model.settings import Alias, ByName, setting
from tocsin.storage.telemetry.engine import Engine

LONGEST_HOURS = 50 * 366 * 24.0
# The last second a DateTime knows, in 2106: what is on hold expires then.
HELD_UNTIL = "toDateTime(4294967295)"


@dataclass(frozen=True)
class RetentionSettings:
    """After how long telemetry of a kind is deleted. Whole days are dropped at once, so disk is freed with a day's
    delay at most; where tenants or levels differ, parts are written anew without what is over."""

    traces_hours: float = setting(30 * 24.0, unit="hours", help="Spans and exceptions; the largest part of the disk.")
    logs_hours: float = setting(30 * 24.0, unit="hours", help="Log records.")
    events_hours: float = setting(
        400 * 24.0, unit="hours", help="Deployments, changes of flags, crossings between tenants and other events; few."
    )
    metrics_hours: float = setting(
        30 * 24.0, unit="hours", help="Samples of metrics.", env=(Alias("METRICS_RETENTION_HOURS", "hours"),)
    )
    rates_hours: float = setting(
        400 * 24.0,
        unit="hours",
        help="Hourly rates, errors and durations of requests and calls, and hourly summaries of samples, kept long "
        "for comparison with last year; they are small.",
    )

    logs_days_by_level: ByName = setting(
        (),
        unit="days",
        help="Log records of a level (trace, debug, info, warn, error, fatal) for another time than logs_hours, such "
        "as {debug = 3, info = 14}.",
    )
    days_by_tenant: ByName = setting(
        (),
        unit="days",
        help="All of a tenant's traces, logs of whatever level, events and samples for another time than the rest, "
        "such as {acme = 365}; hourly rates stay as long as rates_hours says.",
    )

    export_folder: str = setting(
        "", help="Folder below which `tocsin data export` writes on the server; exports in the data folder unless set."
    )
    export_s3_endpoint: str = setting(
        "",
        help="URL of the S3 that s3://bucket/prefix means, such as http://minio:9000; Amazon's unless set.",
    )
    loki_file: str = setting(
        "", help="A loki-config.yml whose retention holds for log records unless logs_hours is set itself."
    )

    def __post_init__(self) -> None:
        for name in ("traces_hours", "logs_hours", "events_hours", "metrics_hours", "rates_hours"):
            _check(name, getattr(self, name))
        if self.export_s3_endpoint and not re.fullmatch(r"https?://[^/\s]+/?", self.export_s3_endpoint):
            raise ValueError(
                f"export_s3_endpoint is '{self.export_s3_endpoint}', which is no URL; write http://host:port"
            )
        for name in ("logs_days_by_level", "days_by_tenant"):
            for one, days in getattr(self, name):
                _check(f"{name}.{one}", days * 24)
        for level, _ in self.logs_days_by_level:
            if level not in LEVELS:
                raise ValueError(f"logs_days_by_level names '{level}', which is no level; use {', '.join(LEVELS)}")

    @property
    def longest_logs_hours(self) -> float:
        """How long the log record that is kept longest stays, whatever its tenant."""
        return max(self.logs_hours, *(days * 24 for _, days in (*self.logs_days_by_level, *self.days_by_tenant)), 0)


def _check(name: str, hours: float) -> None:
    if hours < 1:
        raise ValueError(f"{name} = {hours:g} hours would delete what just arrived; use 1 hour or more")
    if hours > LONGEST_HOURS:
        raise ValueError(f"{name} = {hours:g} hours is more than the store can reckon with; use 50 years or less")


# The finer rollups serve recent windows only and are rebuilt by nobody: their reach is part of how queries choose.
RED_10S_HOURS = 48
RED_1M_HOURS = 31 * 24
SAMPLE_TABLES = ("samples", "deltas", "deltas_1h", "native_histograms", "exemplars", "samples_5m")
RED_SPLITS = ("", "_routes", "_tenants")
CALL_SPLITS = ("", "_operations", "_tenants")
# Sums over all tenants, and what is known of shapes whoever has them: nobody's in particular.
TENANTLESS = tuple(f"red_{step}_routes" for step in ("1m", "1h")) + tuple(
    f"calls_{step}_operations" for step in ("1m", "1h")
)


@dataclass(frozen=True, slots=True)
class Kept:
    """How long a table's rows are kept after `column`. `margin_hours` is added for tenants, too, and what a tenant
    has agreed on shortens nothing below `least_hours`."""

    column: str
    hours: float
    is_by_tenant: bool = False
    is_by_level: bool = False
    has_tenant: bool = True
    margin_hours: float = 0
    least_hours: float = 0


def kept_tables(settings: RetentionSettings) -> dict[str, Kept]:
    """Every table with an end, by name."""
    rates, metrics, logs = settings.rates_hours, settings.metrics_hours, settings.logs_hours
    longest_metrics = max(metrics, rates)
    traces = settings.traces_hours
    longest_level = max(logs, *(days * 24 for _, days in settings.logs_days_by_level), 0)
    by_day = Kept("day", longest_level + 24, is_by_tenant=True, margin_hours=24)
    log_tables = ("logs", "logs_1m", "logs_1h", "log_shapes_1m", "log_shapes_1h")
    return {
        "spans": Kept("start", traces, is_by_tenant=True),
        "exceptions": Kept("time", traces, is_by_tenant=True),
        "error_hours": Kept("hour", rates),
        **dict.fromkeys(log_tables, Kept("time", logs, is_by_tenant=True, is_by_level=True)),
        **dict.fromkeys(("log_streams", "log_shapes"), by_day),
        "log_shape_patterns": Kept("day", settings.longest_logs_hours + 48, has_tenant=False),
        "events": Kept("time", settings.events_hours, is_by_tenant=True),
        # A series of the first hour of a day is asked for until that day is over.
        "series": Kept("day", longest_metrics + 24, is_by_tenant=True, margin_hours=24, least_hours=longest_metrics),
        **dict.fromkeys(SAMPLE_TABLES, Kept("time", metrics, is_by_tenant=True)),
        "samples_1h": Kept("time", longest_metrics, is_by_tenant=True, least_hours=rates),
        "metric_metadata": Kept("seen", metrics + 24, is_by_tenant=True, margin_hours=24),
        "red_10s": Kept("time", min(RED_10S_HOURS, rates)),
        "calls_10s": Kept("time", min(RED_10S_HOURS, rates)),
        **{f"red_1m{split}": _rollup(f"red_1m{split}", min(RED_1M_HOURS, rates)) for split in RED_SPLITS},
        **{f"red_1h{split}": _rollup(f"red_1h{split}", rates) for split in RED_SPLITS},
        **{f"calls_1m{split}": _rollup(f"calls_1m{split}", min(RED_1M_HOURS, rates)) for split in CALL_SPLITS},
        **{f"calls_1h{split}": _rollup(f"calls_1h{split}", rates) for split in CALL_SPLITS},
    }


def _rollup(table: str, hours: float) -> Kept:
    return Kept("time", hours, has_tenant=table not in TENANTLESS)


def ttl_clause(kept: Kept, settings: RetentionSettings, held: Collection[str]) -> str:
    """The time at which a row expires, as one expression over its columns."""
    hours = str(round(kept.hours))
    if kept.is_by_level and settings.logs_days_by_level:
        hours = _chosen("level", {level: days * 24 for level, days in settings.logs_days_by_level}, hours)
    if kept.is_by_tenant and settings.days_by_tenant:
        own = {name: max(days * 24, kept.least_hours) + kept.margin_hours for name, days in settings.days_by_tenant}
        hours = f"if(has({_texts(own)}, tenant), {_chosen('tenant', own, '0')}, {hours})"
    clause = f"toDateTime({kept.column}) + toIntervalHour({hours})"
    if held and kept.has_tenant:
        clause = f"if(has({_texts(sorted(held))}, tenant), {HELD_UNTIL}, {clause})"
    return clause


def apply_retention(
    engine: Engine, settings: RetentionSettings, held: Collection[str] = (), *, wait: bool = False
) -> None:
    """Make the tables' TTLs what the settings and the tenants on hold say; for what is stored already in the
    background, or before this returns with `wait`.

    Costs little when they already are. Rewrites nothing: the columns that decide are read anew.
    """
    definitions = _definitions(engine)
    clauses = {table: ttl_clause(kept, settings, held) for table, kept in kept_tables(settings).items()}
    as_stored = _as_stored(engine, clauses.values())
    for table, clause in clauses.items():
        definition = definitions.get(table, "")
        # Parts that hold rows of several ends must be written anew; without such rows dropping them is cheaper.
        drops_whole = f"ttl_only_drop_parts = {int('has(' not in clause and 'level' not in clause)}"
        if drops_whole not in definition:
            engine.execute(f"ALTER TABLE {table} MODIFY SETTING {drops_whole}")
        if f"TTL {as_stored[clause]} SETTINGS" not in definition:
            _change(engine, table, clause, wait)


def _change(engine: Engine, table: str, clause: str, wait: bool) -> None:
    # Parts remember when they expire: without materializing, what is there would still go at its former time.
    statement = f"ALTER TABLE {table} MODIFY TTL {clause} SETTINGS materialize_ttl_after_modify = 1"
    if not wait:
        engine.execute(statement)
        return
    # Until a part knows its new end it must not be dropped for its former one.
    engine.execute(f"SYSTEM STOP TTL MERGES {table}")
    try:
        engine.execute_aside(f"{statement}, mutations_sync = 2")
    finally:
        engine.execute(f"SYSTEM START TTL MERGES {table}")


def _chosen(column: str, hours: dict[str, float], otherwise: str) -> str:
    numbers = ", ".join(str(round(one)) for one in hours.values())
    return f"transform({column}, {_texts(hours)}, [{numbers}], {otherwise})"


def _texts(names: Collection[str]) -> str:
    return "[" + ", ".join(quoted(name) for name in names) + "]"


def quoted(text: str) -> str:
    """A text as the engine's SQL writes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _definitions(engine: Engine) -> dict[str, str]:
    sql = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
    return {str(name): str(text) for name, text in engine.query(sql, {}, {}, 30).rows}


def _as_stored(engine: Engine, clauses: Collection[str]) -> dict[str, str]:
    """Each clause in the words in which the engine prints a table's definition."""
    asked = {"texts": [f"ALTER TABLE t MODIFY TTL {clause}" for clause in clauses]}
    rows = engine.query("SELECT formatQuerySingleLine(arrayJoin({texts:Array(String)}))", asked, {}, 30).rows
    shown = (str(text).removeprefix("ALTER TABLE t (MODIFY TTL ").removesuffix(")") for (text,) in rows)
    return dict(zip(clauses, shown, strict=True))
