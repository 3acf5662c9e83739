"""What the routes about calls answer."""

from __future__ import annotations

from pydantic import BaseModel, Field

from tocsin.web.api.contract import Shown


class CallsAnswer(Shown):
    """Calls over the time asked for. Ratios are 0 to 1; what nobody counted is null."""

    calls: int
    errors: int
    timeouts: int = Field(description="Of the errors")
    rate: float = Field(description="Per second")
    error_ratio: float
    total_seconds: float = Field(description="Time of all of them together")
    mean_seconds: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None
    rows_per_call: float | None
    hit_ratio: float | None


class OperationAnswer(Shown):
    """Equal calls."""

    digest: str
    text: str = Field(description="A statement without its values, a command on a kind of key, a route of a host")
    kind: str = Field(description="db, cache, http or queue")
    system: str
    target: str
    collection: str = Field(description="The table, or the kind of key")
    origin: str = Field(description="The line of code that called it first")


class StatementAnswer(Shown):
    """A statement or command with its figures."""

    operation: OperationAnswer
    calls: CallsAnswer
    share: float = Field(description="Of the time of all calls of its kind, 0 to 1")
    callers: list[str]


class StatementList(BaseModel):
    """Most time together first."""

    statements: list[StatementAnswer]


class CallerAnswer(Shown):
    """Who calls."""

    service: str
    caller: str = Field(description="Such as GET /projects; empty outside of requests")
    calls: CallsAnswer
    per_request: float | None


class CallSeriesAnswer(Shown):
    """Calls over time; every list is as long as `times`."""

    step_seconds: int
    times: list[int]
    rate: list[float]
    error_rate: list[float]
    busy: list[float] = Field(description="Seconds of calls a second")
    p50_seconds: list[float | None]
    p95_seconds: list[float | None]


class PlanAnswer(Shown):
    """How the database would run it, without values."""

    plan: str
    scans: list[str] = Field(description="Tables it reads from end to end")
    release: str


class PlaceAnswer(Shown):
    """A statement at a line of code."""

    service: str
    caller: str
    line: str
    digest: str
    text: str
    target: str
    calls: int
    seconds: float


class RepeatAnswer(PlaceAnswer):
    """A statement that requests of a route run over and over from one line (N+1)."""

    requests: int
    per_request: float
    share: float | None = Field(description="Of the route's requests, 0 to 1")


class RepeatList(BaseModel):
    """Most time first."""

    repeats: list[RepeatAnswer]


class SlowAnswer(PlaceAnswer):
    """Slow calls from one line."""

    mean_seconds: float


class SlowList(BaseModel):
    """Most time first."""

    slow: list[SlowAnswer]


class StatementDetail(StatementAnswer):
    """All about one statement."""

    by_caller: list[CallerAnswer]
    repeats: list[RepeatAnswer]
    slow: list[SlowAnswer]
    plan: PlanAnswer | None
    series: CallSeriesAnswer


class TenantShareAnswer(Shown):
    """A tenant's part of the time against its part of the requests, 0 to 1."""

    tenant: str
    calls: CallsAnswer
    share: float
    request_share: float
    before: float | None = Field(description="Its part of the time in the time before")
    is_noisy: bool


class TenantShareList(BaseModel):
    """Most time first; empty for a reader who may see some tenants only."""

    tenants: list[TenantShareAnswer]


class HolderAnswer(Shown):
    """Who kept a connection too long."""

    route: str
    line: str
    seconds: float


class PoolAnswer(Shown):
    """A connection pool; `most` and `limit` are of its fullest process."""

    name: str
    service: str
    limit: int
    most: int
    now: int
    full_seconds: float
    waits: CallsAnswer
    holders: list[HolderAnswer]


class PoolList(BaseModel):
    """Those that gave out no connection first; empty for a reader who may see some tenants only."""

    pools: list[PoolAnswer]


class HostRouteAnswer(Shown):
    """A route of a host."""

    text: str
    calls: CallsAnswer
    origin: str


class DependencyAnswer(Shown):
    """A host that services call."""

    host: str
    kind: str
    health: str = Field(description="down, failing, slow, expiring or well")
    calls: CallsAnswer
    before: CallsAnswer = Field(description="In the time before")
    routes: list[HostRouteAnswer]
    callers: list[tuple[str, str]] = Field(description="Service and route")
    errors: list[tuple[str, int]] = Field(description="Kinds of failure and how often")
    phases: dict[str, float] = Field(description="Mean seconds of dns, connect, tls and first_byte, as far as known")
    tls_days: float | None = Field(description="Until its certificate ends")


class DependencyList(BaseModel):
    """Failing ones first."""

    dependencies: list[DependencyAnswer]


class CacheAnswer(Shown):
    """Look-ups of one kind of key."""

    cache: str
    target: str
    lookups: int
    hits: int
    hit_ratio: float | None
    before: float | None = Field(description="Its hit ratio in the time before")
    is_cold: bool
    calls: CallsAnswer | None
    tenants: list[tuple[str, float, int]] = Field(description="Tenant, hit ratio, look-ups")


class CacheList(BaseModel):
    """Cold ones first, then those with the most misses."""

    caches: list[CacheAnswer]
