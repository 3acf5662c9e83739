"""Prometheus' look at itself: status and targets, as far as Tocsin has what they ask for."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from tocsin.collect.scrape import TargetState
from tocsin.query.promql.literals import format_duration
from tocsin.query.promql.settings import QuerySettings
from tocsin.storage.telemetry.retention import RetentionSettings
from tocsin.web.api.contract import BEARER
from tocsin.web.api.prometheus import PREFIX
from tocsin.web.api.prometheus_answer import PrometheusRoute, success
from tocsin.web.api.prometheus_asked import AskedOf, now_ms
from tocsin.web.auth import Anybody, Viewer
from tocsin.web.metrics import while_waited_for
from tocsin.web.state import state_of

router = APIRouter(prefix=PREFIX, tags=["prometheus"], dependencies=[Depends(BEARER)], route_class=PrometheusRoute)

SPOKEN_VERSION = "3.5.0"
"""The Prometheus whose API this is: clients choose by it what they may ask."""

HOUR_MS = 3_600_000


@router.get("/status/buildinfo", operation_id="prometheus_buildinfo")
async def buildinfo(request: Request, principal: Anybody) -> Response:
    vitals = getattr(request.app.state.tocsin, "vitals", None)
    return success(
        {
            "version": SPOKEN_VERSION,
            "revision": f"tocsin {vitals.version if vitals else ''}".strip(),
            "branch": "tocsin",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
            "application": "Tocsin",
            "features": {},
        }
    )


@router.get("/status/runtimeinfo", operation_id="prometheus_runtimeinfo")
async def runtimeinfo(request: Request, principal: Viewer) -> Response:
    vitals = getattr(request.app.state.tocsin, "vitals", None)
    started = datetime.now(UTC).timestamp() - (vitals.uptime_seconds if vitals else 0)
    return success(
        {
            "startTime": datetime.fromtimestamp(started, UTC).isoformat().replace("+00:00", "Z"),
            "CWD": "",
            "serverTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "hostname": platform.node(),
            "reloadConfigSuccess": True,
            "lastConfigTime": datetime.fromtimestamp(started, UTC).isoformat().replace("+00:00", "Z"),
            "corruptionCount": 0,
            "goroutineCount": 0,
            "GOMAXPROCS": 0,
            "GOMEMLIMIT": 0,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": _retention(request),
        }
    )


@router.get("/status/config", operation_id="prometheus_config")
async def config(principal: Viewer) -> Response:
    """Empty: Tocsin's settings are no prometheus.yml, and may hold secrets."""
    return success({"yaml": ""})


@router.get("/status/flags", operation_id="prometheus_flags")
async def flags(request: Request, principal: Viewer) -> Response:
    settings = state_of(request).settings[QuerySettings]
    return success(
        {
            "query.lookback-delta": f"{settings.lookback_seconds:g}s",
            "query.timeout": f"{settings.timeout_seconds:g}s",
            "query.max-samples": str(settings.max_samples),
            "storage.tsdb.retention.time": _retention(request),
            "web.enable-remote-write-receiver": "true",
        }
    )


@router.get("/status/tsdb", operation_id="prometheus_tsdb")
async def tsdb(request: Request, asked: AskedOf) -> Response:
    """The metrics with the most series in the last hour, within what the token may see."""
    until = now_ms()
    counts = await while_waited_for(request, lambda _: asked.reader.series_counts(until - HOUR_MS, until))
    most = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[: asked.limit() or 10]
    return success(
        {
            "headStats": {
                "numSeries": sum(counts.values()),
                "numLabelPairs": 0,
                "chunkCount": 0,
                "minTime": until - HOUR_MS,
                "maxTime": until,
            },
            "seriesCountByMetricName": [{"name": name, "value": count} for name, count in most],
            "labelValueCountByLabelName": [],
            "memoryInBytesByLabelName": [],
            "seriesCountByLabelValuePair": [],
        }
    )


@router.get("/targets", operation_id="prometheus_targets")
async def targets(request: Request, principal: Anybody, state: str = "any") -> Response:
    """What the scraper watches; nothing while no scraper runs, and for who may not see the whole platform."""
    scraper = getattr(request.app.state.tocsin, "scraper", None)
    found = scraper.states() if scraper is not None and principal.scope.is_platform and state != "dropped" else []
    return success({"activeTargets": [_target(one) for one in found], "droppedTargets": [], "droppedTargetCounts": {}})


def _target(found: TargetState) -> dict[str, Any]:
    target = found.target
    return {
        "discoveredLabels": dict(target.discovered),
        "labels": dict(target.labels),
        "scrapePool": target.job,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": found.error,
        "lastScrape": datetime.fromtimestamp(found.last_scrape, UTC).isoformat().replace("+00:00", "Z"),
        "lastScrapeDuration": found.duration_seconds,
        "health": found.health,
        "scrapeInterval": format_duration(round(target.interval_seconds * 1000)),
        "scrapeTimeout": format_duration(round(target.timeout_seconds * 1000)),
    }


def _retention(request: Request) -> str:
    return f"{state_of(request).settings[RetentionSettings].metrics_hours:g}h"
