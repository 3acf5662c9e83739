"""The parameters of the Prometheus API: from the address, or from the form that a POST sends."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import ImmutableMultiDict

from tocsin.model.access import Principal
from tocsin.model.tenant import Scope
from tocsin.query.metric_reader import MetricReader, Selector
from tocsin.query.promql.errors import ParseError
from tocsin.query.promql.literals import parse_duration_ms, quote
from tocsin.query.promql.parser import parse_selector
from tocsin.query.promql.settings import QuerySettings
from tocsin.web.api.prometheus_answer import PrometheusError, invalid
from tocsin.web.auth import Anybody
from tocsin.web.csrf import FORM_TYPES
from tocsin.web.metrics import promql_settings_of, reader_for
from tocsin.web.read_audit import note_read

TENANT_HEADER = "X-Scope-OrgID"
"""Narrows a request to one tenant, as in other servers of the Prometheus family; several are separated by '|'."""

# What Prometheus' clients send for "since ever" and "for ever".
EVER = {"-292273086-05-16T16:47:06Z": -math.inf, "292277025-08-18T07:12:54.999999999Z": math.inf}
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
DAY_MS = 86_400_000
MAX_MS = 2**53


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its parameters, and the series it may read."""

    parameters: ImmutableMultiDict[str, str]
    reader: MetricReader
    settings: QuerySettings

    def text(self, name: str) -> str:
        return self.parameters.get(name, "")

    def time_ms(self, name: str, default_ms: int | None = None) -> int:
        """Raises PrometheusError."""
        given = self.text(name)
        if not given and default_ms is not None:
            return default_ms
        return bounded(parse_time_ms(name, given))

    def window(self) -> tuple[int, int]:
        """start and end of a look-up of series; everything when they are not given."""
        start_ms = self.time_ms("start", 0)
        end_ms = self.time_ms("end", now_ms() + DAY_MS)
        if end_ms < start_ms:
            raise invalid("end", "end timestamp must not be before start time")
        return max(0, start_ms), max(0, min(end_ms, now_ms() + DAY_MS))

    def seconds(self, name: str) -> float | None:
        """A duration, None when it is not given."""
        given = self.text(name)
        return parse_seconds(name, given) if given else None

    def limit(self) -> int:
        """0 for no limit."""
        given = self.text("limit")
        if not given:
            return 0
        if not re.fullmatch(r"[+-]?\d{1,18}", given):
            raise invalid("limit", f"strconv.Atoi: parsing {quote(given)}: invalid syntax")
        if int(given) < 0:
            raise invalid("limit", "limit must be non-negative")
        return int(given)

    def selectors(self, is_required: bool = False) -> list[Selector]:
        """Those of match[]. Raises PrometheusError."""
        given = self.parameters.getlist("match[]")
        if is_required and not given:
            raise PrometheusError("bad_data", "no match[] parameter provided")
        return [selector_of(text) for text in given]

    def query_settings(self) -> QuerySettings:
        """The server's bounds, with the timeout and lookback that the request asks for."""
        settings, timeout, lookback = self.settings, self.seconds("timeout"), self.seconds("lookback_delta")
        if timeout is not None:
            settings = replace(settings, timeout_seconds=min(timeout, settings.timeout_seconds))
        return replace(settings, lookback_seconds=lookback) if lookback else settings


def selector_of(text: str) -> Selector:
    try:
        return parse_selector(text)
    except ParseError as error:
        raise invalid("match[]", error) from error


def bounded(time_ms: float) -> int:
    return int(max(-MAX_MS, min(MAX_MS, time_ms)))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def parse_time_ms(name: str, text: str) -> float:
    """Unix seconds or RFC 3339, in milliseconds. Raises PrometheusError."""
    if text in EVER:
        return EVER[text]
    try:
        seconds = float(text)
        if math.isfinite(seconds) and "_" not in text:
            return round(seconds * 1000)
    except ValueError:
        if found := _RFC3339.fullmatch(text):
            day, clock, fraction, zone = found.groups()
            try:
                moment = datetime.fromisoformat(f"{day}T{clock}{zone.upper().replace('Z', '+00:00')}")
            except ValueError:
                pass  # such as a month of 13
            else:
                whole_ms = int(moment.astimezone(UTC).timestamp()) * 1000
                return whole_ms + round(float(fraction or 0) * 1000)
    raise invalid(name, f"cannot parse {quote(text)} to a valid timestamp")


def parse_seconds(name: str, text: str) -> float:
    """Seconds, or a duration such as 5m. Raises PrometheusError."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            return parse_duration_ms(text) / 1000
        except ValueError:
            raise invalid(name, f"cannot parse {quote(text)} to a valid duration") from None
    if not abs(seconds) < 2**63 / 1e9:
        raise invalid(name, f"cannot parse {quote(text)} to a valid duration. It overflows int64")
    return seconds


async def asked(request: Request, principal: Anybody) -> Asked:
    """Dependency: what this request asks, within the tenants its token may see."""
    parameters = await parameters_of(request)
    scope = scope_of(principal, parameters, request.headers.get(TENANT_HEADER, ""))
    tenant = next(iter(scope.tenants)) if scope.tenants and len(scope.tenants) == 1 else None
    note_read(request, principal, tenant, "prometheus")
    return Asked(parameters, reader_for(request, scope), promql_settings_of(request))


async def parameters_of(request: Request) -> ImmutableMultiDict[str, str]:
    """As Go's ParseForm has them: the values of the form come before those of the address."""
    pairs = []
    if request.method == "POST" and request.headers.get("content-type", "").startswith(FORM_TYPES):
        pairs = [(name, value) for name, value in (await request.form()).multi_items() if isinstance(value, str)]
    given = ImmutableMultiDict([*pairs, *request.query_params.multi_items()])
    return FirstOfEach(given)


class FirstOfEach(ImmutableMultiDict[str, str]):
    """Gives the first of several values where Starlette gives the last."""

    def __init__(self, given: ImmutableMultiDict[str, str]) -> None:
        super().__init__(given.multi_items())
        firsts: dict[str, str] = {}
        for name, value in given.multi_items():
            firsts.setdefault(name, value)
        self._dict = firsts


def scope_of(principal: Principal, parameters: Mapping[str, str], header: str) -> Scope:
    named = parameters.get("tenant") or header
    if not named:
        return principal.scope
    tenants = {tenant for tenant in named.split("|") if tenant}
    return Scope(frozenset(tenant for tenant in tenants if principal.scope.allows(tenant)))


AskedOf = Annotated[Asked, Depends(asked)]
