"""The parameters of the Loki API: from the address, or from the form that a POST sends."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import HTTPConnection

from tocsin.model.tenant import Scope
from tocsin.query.log_source import LogSource
from tocsin.query.logql.errors import LogQLError
from tocsin.query.logql.literals import duration_seconds
from tocsin.query.logql.parser import parse_log_query
from tocsin.query.logql.settings import LogQuerySettings
from tocsin.query.promql.matchers import Matcher
from tocsin.web.api.asked import store_of
from tocsin.web.api.loki_answer import CATEGORIZED
from tocsin.web.api.prometheus_asked import TENANT_HEADER, parameters_of, scope_of
from tocsin.web.auth import Anybody
from tocsin.web.read_audit import note_read
from tocsin.web.state import state_of

FLAGS_HEADER = "X-Loki-Response-Encoding-Flags"
HOUR_NS = 3600 * 10**9
LAST_NS = 2**62
_WHOLE = re.compile(r"[0-9]{1,19}")
_DECIMAL = re.compile(r"[0-9]{1,12}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")
_DEFAULT_POINTS = 250


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its parameters, and the lines it may read."""

    parameters: ImmutableMultiDict[str, str]
    source: LogSource
    settings: LogQuerySettings
    is_categorized: bool
    now_ns: int

    def text(self, name: str) -> str:
        return self.parameters.get(name, "")

    def query(self) -> str:
        """Raises LogQLError."""
        given = self.text("query")
        if not given.strip():
            raise LogQLError('the parameter query is missing; send a query such as {service_name="shop"}')
        return given

    def time_ns(self, name: str, default_ns: int) -> int:
        """Raises LogQLError."""
        given = self.text(name)
        return read_time_ns(name, given) if given else default_ns

    def window(self, hours: float = 1) -> tuple[int, int]:
        """start and end: an hour before the end, and now. Raises LogQLError."""
        end = self.time_ns("end", self.now_ns)
        since = self._seconds("since")
        start = self.time_ns("start", max(0, end - round((since or hours * 3600) * 1e9)))
        if end < start:
            raise LogQLError("cannot use this time range: end is before start; swap them")
        return start, end

    def limit(self, default: int = 100) -> int:
        """Raises LogQLError."""
        given = self.text("limit")
        if not given:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", given) or not int(given):
            raise LogQLError(f"cannot use limit {given[:20]!r}: it is no whole number from 1")
        return int(given)

    def newest_first(self) -> bool:
        """Raises LogQLError."""
        given = self.text("direction").lower()
        if given not in ("", "backward", "forward"):
            raise LogQLError(f"cannot use direction {given[:20]!r}: write forward or backward")
        return given != "forward"

    def step_ms(self, start_ns: int, end_ns: int) -> int:
        """Raises LogQLError."""
        seconds = self._seconds("step")
        if seconds is None:
            seconds = max(1, (end_ns - start_ns) // 10**9 // _DEFAULT_POINTS)
        if not 0.001 <= seconds <= 1e9:
            raise LogQLError("cannot use step: zero or negative query resolution step widths are not accepted")
        return round(seconds * 1000)

    def selectors(self) -> list[tuple[Matcher, ...]]:
        """Those of match[] or query. Raises LogQLError."""
        given = [*self.parameters.getlist("match[]"), *self.parameters.getlist("match")]
        given += [text for text in [self.text("query")] if text]
        return [parse_log_query(text).matchers for text in given if text.strip() not in ("", "{}")]

    def _seconds(self, name: str) -> float | None:
        given = self.text(name)
        if not given:
            return None
        try:
            seconds = float(given)
        except ValueError:
            try:
                seconds = duration_seconds(given)
            except ValueError as error:
                raise LogQLError(f"cannot use {name}: {error}") from error
        if not math.isfinite(seconds):
            raise LogQLError(f"cannot use {name} {given[:20]!r}: it is no number of seconds")
        return seconds


def read_time_ns(name: str, text: str) -> int:
    """Nanoseconds, seconds (up to ten digits, or with a fraction) or RFC 3339. Raises LogQLError."""
    if _WHOLE.fullmatch(text):
        found = int(text) * 10**9 if len(text) <= 10 else int(text)
    elif _DECIMAL.fullmatch(text):
        found = round(float(text) * 1e9)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise LogQLError(
                f"cannot read {name} {text[:40]!r} as a time: write Unix nanoseconds, seconds or 2026-11-21T14:02:00Z"
            ) from error
        found = round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000) * 1_000_000
    if not 0 <= found < LAST_NS:
        raise LogQLError(f"cannot use {name} {text[:40]!r}: it is not between 1970 and 2116; check its unit")
    return found


def source_for(connection: HTTPConnection, scope: Scope) -> LogSource:
    return LogSource(store_of(connection), scope)


async def asked(request: Request, principal: Anybody) -> Asked:
    """Dependency: what this request asks, within the tenants its token may see."""
    parameters = await parameters_of(request)
    scope = scope_of(principal, parameters, request.headers.get(TENANT_HEADER, ""))
    tenant = next(iter(scope.tenants)) if scope.tenants and len(scope.tenants) == 1 else None
    note_read(request, principal, tenant, "loki")
    flags = request.headers.get(FLAGS_HEADER, "")
    settings = state_of(request).settings[LogQuerySettings]
    return Asked(parameters, source_for(request, scope), settings, CATEGORIZED in flags, time.time_ns())


AskedOf = Annotated[Asked, Depends(asked)]
