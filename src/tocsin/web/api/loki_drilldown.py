"""What Grafana's Logs Drilldown asks of Loki beside queries: patterns, the values of a field, and what it may ask."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Depends, Request, Response

from tocsin.detect.patterns.settings import PatternSettings
from tocsin.ingest.stream_labels import LEVELS, SERVICES
from tocsin.query import log_streams
from tocsin.query.log_pattern_series import pattern_series
from tocsin.query.logql.settings import LogQuerySettings
from tocsin.storage.telemetry.retention import RetentionSettings
from tocsin.web.api.contract import BEARER
from tocsin.web.api.loki import BOTH, PREFIX, VERSION
from tocsin.web.api.loki_answer import LokiRoute, bare, success
from tocsin.web.api.loki_asked import AskedOf
from tocsin.web.api.loki_series import fields_of, sampled, selected_by
from tocsin.web.auth import Anybody
from tocsin.web.metrics import while_waited_for
from tocsin.web.state import Settings, state_of

router = APIRouter(prefix=PREFIX, tags=["loki"], dependencies=[Depends(BEARER)], route_class=LokiRoute)
VALUES = 1_000


@router.api_route("/patterns", methods=BOTH, operation_id="loki_patterns")
async def patterns(request: Request, asked: AskedOf) -> Response:
    """The patterns of the lines that `query` selects, with how many lines each had in every `step`."""
    matchers, (start_ns, end_ns) = selected_by(asked).matchers, asked.window()
    step_seconds = asked.step_ms(start_ns, end_ns) / 1000

    def work(_: Callable[[], bool]) -> Response:
        found = pattern_series(asked.source, matchers, start_ns, end_ns, step_seconds)
        return success([{"pattern": one.pattern, "level": one.level, "samples": one.samples} for one in found])

    return await while_waited_for(request, work)


@router.api_route("/detected_field/{name}/values", methods=BOTH, operation_id="loki_detected_field_values")
async def detected_field_values(request: Request, asked: AskedOf, name: str) -> Response:
    """The values of a field in the newest thousand lines that `query` selects, or those of a label of streams."""
    selected, window, limit = selected_by(asked), asked.window(), asked.limit(VALUES)

    def work(_: Callable[[], bool]) -> Response:
        values = set(log_streams.label_values(asked.source, name, [selected.matchers], *window))
        if not values:
            for line in sampled(asked, selected, *window):
                values.add({**fields_of(line.text)[1], **line.metadata}.get(name, ""))
        return bare({"values": sorted(values - {""})[:limit], "limit": limit})

    return await while_waited_for(request, work)


@router.get("/drilldown-limits", operation_id="loki_drilldown_limits")
async def drilldown_limits(request: Request, reader: Anybody) -> Response:
    """What may be asked, under the names of Loki's limits, and whether there are patterns."""
    settings = state_of(request).settings
    return bare(
        {
            "limits": _limits(settings),
            "pattern_ingester_enabled": settings[PatternSettings].is_on,
            "version": VERSION,
        }
    )


def _limits(settings: Settings) -> dict[str, object]:
    """Texts are durations, 0s and 0B mean that there is no limit."""
    queries = settings[LogQuerySettings]
    return {
        "discover_log_levels": True,
        "discover_service_name": SERVICES,
        "log_level_fields": LEVELS,
        "max_entries_limit_per_query": queries.max_lines,
        "max_line_size_truncate": True,
        "max_query_bytes_read": "0B",
        "max_query_length": f"{round(queries.max_days * 24)}h",
        "max_query_lookback": "0s",
        "max_query_range": "0s",
        "max_query_series": queries.max_series,
        "metric_aggregation_enabled": False,
        "pattern_persistence_enabled": settings[PatternSettings].is_on,
        "query_timeout": f"{round(queries.timeout_seconds)}s",
        "retention_period": f"{round(settings[RetentionSettings].longest_logs_hours)}h",
        "volume_enabled": True,
        "volume_max_series": log_streams.MOST_VALUES,
    }
