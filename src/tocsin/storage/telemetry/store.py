"""Reads of telemetry, each within a tenant scope that the engine itself enforces."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass

from tocsin.model.settings import setting
from tocsin.model.tenant import Scope
from tocsin.storage.telemetry.chdb import DATABASE
from tocsin.storage.telemetry.decode import Signal
from tocsin.storage.telemetry.engine import Column, Engine, Rows, Value
from tocsin.storage.telemetry.kept_answers import KeptAnswers

# Every table with rows of tenants. A table that is missing here cannot be read in a narrowed scope at all.
TENANT_TABLES = (
    "spans", "exceptions", "red_10s", "red_1m", "red_1m_routes", "red_1m_tenants", "red_1h", "red_1h_routes",
    "red_1h_tenants", "logs",
    "series", "samples", "deltas", "native_histograms", "exemplars", "metric_metadata",
    "deltas_1h", "samples_5m", "samples_1h", "events", "error_groups", "error_hours",
    "calls_10s", "calls_1m", "calls_1m_operations", "calls_1m_tenants", "calls_1h", "calls_1h_operations",
    "calls_1h_tenants", "logs_1m", "logs_1h", "log_streams", "log_shapes_1m", "log_shapes_1h", "log_shapes",
)  # fmt: skip
# The views that fill the rollups can be read like tables, past the filters of the tables behind them.
TENANT_VIEWS = (
    "red_from_spans", "exceptions_from_spans",
    "red_1m_from_10s", "red_1m_routes_from_10s", "red_1m_tenants_from_10s",
    "red_1h_from_1m", "red_1h_routes_from_1m", "red_1h_tenants_from_1m",
    "deltas_1h_from_deltas", "events_from_logs", "error_groups_from_exceptions", "error_hours_from_exceptions",
    "calls_from_spans", "calls_1m_from_10s", "calls_1m_operations_from_10s", "calls_1m_tenants_from_10s",
    "calls_1h_from_1m", "calls_1h_operations_from_1m", "calls_1h_tenants_from_1m",
    "logs_1m_from_logs", "logs_1h_from_1m", "log_streams_from_logs",
    "log_shapes_1m_from_logs", "log_shapes_1h_from_1m", "log_shapes_from_logs",
)  # fmt: skip


@dataclass(frozen=True)
class QuerySettings:
    """Bounds of one query."""

    max_seconds: float = setting(
        20.0, unit="seconds", help="Time after which a query is stopped; raise it for wide searches on slow disks."
    )
    max_memory_bytes: int = setting(
        1024**3, unit="bytes", help="Memory of one query; raise it if searches over many days are refused."
    )
    max_result_rows: int = setting(200_000, help="Rows one query may answer before it is refused.")


class TelemetryStore:
    """The engine behind a door that asks for a scope first."""

    def __init__(self, engine: Engine, settings: QuerySettings | None = None) -> None:
        self.engine = engine
        self._settings = settings or QuerySettings()
        self._kept = {signal: KeptAnswers() for signal in (Signal.SERIES, Signal.NATIVE_HISTOGRAMS)}

    def read(self, scope: Scope, sql: str, **parameters: Value) -> Rows:
        """Answer one SELECT with only the rows of the scope's tenants, whatever the text says.

        The filter reaches subqueries, joins and views. `{name:Type}` in the text takes the keyword `name`.
        Raises QueryTimeoutError or EngineError.
        """
        return self.engine.query(sql, parameters, self._limits(scope), self._settings.max_seconds)

    def read_kept(self, about: Signal, scope: Scope, sql: str, **parameters: Value) -> Rows:
        """The same for statements about the rows of one signal alone, series or native histograms: kept until more of
        them are written."""
        question = (scope.tenants, sql, repr(sorted(parameters.items())))
        version = self.engine.version(about)
        return self._kept[about].ask(question, version, lambda: self.read(scope, sql, **parameters))

    def read_arrays(self, scope: Scope, sql: str, **parameters: Value) -> dict[str, Column]:
        """The same for columns of 64-bit numbers and arrays of such, as NumPy arrays by name; {} without rows."""
        return self.engine.query_arrays(sql, parameters, self._limits(scope), self._settings.max_seconds)

    def stream_arrays(
        self, scope: Scope, sql: str, settings: Mapping[str, Value] | None = None, /, **parameters: Value
    ) -> Generator[dict[str, Column]]:
        """The same block by block, for answers of any size, with more settings of the engine; close it when you stop
        before the end."""
        limits = {**(settings or {}), **self._limits(scope), "max_result_rows": 0}
        return self.engine.stream_arrays(sql, parameters, limits, self._settings.max_seconds)

    def _limits(self, scope: Scope) -> dict[str, Value]:
        limits: dict[str, Value] = {
            "max_memory_usage": self._settings.max_memory_bytes,
            "max_result_rows": self._settings.max_result_rows,
            "readonly": 2,
        }
        if scope.tenants is not None:
            limits["additional_table_filters"] = _tenant_filters(scope.tenants)
        return limits

    def is_answering(self) -> float:
        """Seconds the engine took to answer at all. Raises EngineError."""
        started = time.perf_counter()
        self.engine.query("SELECT 1", {}, {}, 5)
        return time.perf_counter() - started


def _tenant_filters(tenants: frozenset[str]) -> str:
    names = ", ".join(_quoted(tenant) for tenant in sorted(tenants))
    # The rollups that leave the tenant out add up everybody: only the whole platform may read them.
    condition = f"tenant IN ({names})" if tenants else "0"
    filters = (
        f"{_quoted(f'{DATABASE}.{name}')}: {_quoted('0' if _adds_up(name) else condition)}"
        for name in TENANT_TABLES + TENANT_VIEWS
    )
    return "{" + ", ".join(filters) + "}"


def _adds_up(name: str) -> bool:
    return "_routes" in name or "_operations" in name


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
