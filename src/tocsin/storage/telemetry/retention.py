"""How long telemetry is kept: the settings as TTL clauses on the tables, applied at every start."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.settings import Alias, setting
from tocsin.storage.telemetry.engine import Engine


@dataclass(frozen=True)
class RetentionSettings:
    """After how long telemetry of a kind is deleted. Whole days are dropped at once, so disk is freed with a day's
    delay at most."""

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

    loki_file: str = setting(
        "", help="A loki-config.yml whose retention holds for log records unless logs_hours is set itself."
    )

    def __post_init__(self) -> None:
        for name in ("traces_hours", "logs_hours", "events_hours", "metrics_hours", "rates_hours"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} would delete what just arrived; use 1 or more")


# The finer rollups serve recent windows only and are rebuilt by nobody: their reach is part of how queries choose.
RED_10S_HOURS = 48
RED_1M_HOURS = 31 * 24
SAMPLE_TABLES = ("samples", "deltas", "deltas_1h", "native_histograms", "exemplars", "samples_5m")
RED_SPLITS = ("", "_routes", "_tenants")
CALL_SPLITS = ("", "_operations", "_tenants")


def apply_retention(engine: Engine, settings: RetentionSettings) -> None:
    """Make the tables' TTLs what the settings say, in the background for what is stored already.

    Costs nothing when they already are.
    """
    hours = {
        "spans": ("start", settings.traces_hours),
        "exceptions": ("time", settings.traces_hours),
        "error_hours": ("hour", settings.rates_hours),
        **dict.fromkeys(("logs", "logs_1m", "logs_1h"), ("time", settings.logs_hours)),
        "log_streams": ("day", settings.logs_hours + 24),
        **dict.fromkeys(("log_shapes_1m", "log_shapes_1h"), ("time", settings.logs_hours)),
        "log_shapes": ("day", settings.logs_hours + 24),
        "log_shape_patterns": ("day", settings.logs_hours + 48),
        "events": ("time", settings.events_hours),
        # A series of the first hour of a day is asked for until that day is over.
        "series": ("day", max(settings.metrics_hours, settings.rates_hours) + 24),
        **dict.fromkeys(SAMPLE_TABLES, ("time", settings.metrics_hours)),
        "samples_1h": ("time", max(settings.metrics_hours, settings.rates_hours)),
        "metric_metadata": ("seen", settings.metrics_hours + 24),
        "red_10s": ("time", min(RED_10S_HOURS, settings.rates_hours)),
        **{f"red_1m{split}": ("time", min(RED_1M_HOURS, settings.rates_hours)) for split in RED_SPLITS},
        **{f"red_1h{split}": ("time", settings.rates_hours) for split in RED_SPLITS},
        "calls_10s": ("time", min(RED_10S_HOURS, settings.rates_hours)),
        **{f"calls_1m{split}": ("time", min(RED_1M_HOURS, settings.rates_hours)) for split in CALL_SPLITS},
        **{f"calls_1h{split}": ("time", settings.rates_hours) for split in CALL_SPLITS},
    }
    for table, (column, kept) in hours.items():
        clause = f"toDateTime({column}) + toIntervalHour({round(kept)})"
        if f"TTL {clause}" not in _definition(engine, table):
            # Parts remember when they expire: without materializing, what is there would still go at its former time.
            engine.execute(f"ALTER TABLE {table} MODIFY TTL {clause} SETTINGS materialize_ttl_after_modify = 1")


def _definition(engine: Engine, table: str) -> str:
    sql = "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
    rows = engine.query(sql, {"table": table}, {}, 30).rows
    return str(rows[0][0]) if rows else ""
