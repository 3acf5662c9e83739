"""What a page gets: who asks, what they chose, the store, and links that keep the choice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Depends, HTTPException, Request
from starlette.responses import Response

from tocsin.model.access import Principal
from tocsin.model.tenant import Scope
from tocsin.model.window import Window
from tocsin.query import tenants as tenants_query
from tocsin.query.annotations import Annotation, happened
from tocsin.query.filters import Filter
from tocsin.query.tenants import HarmedTenant
from tocsin.query.timerange import RANGES, TimeRangeError
from tocsin.storage.telemetry.store import TelemetryStore
from tocsin.web import choice as chosen
from tocsin.web import format
from tocsin.web.alerting import firing_count
from tocsin.web.auth import current_principal
from tocsin.web.charts import Marker
from tocsin.web.choice import Choice
from tocsin.web.page import Page
from tocsin.web.paths import inner_path, root_of, segment
from tocsin.web.read_audit import note_read
from tocsin.web.render import render
from tocsin.web.white_label import EMBED
from tocsin.web.words import Speech

ZONE_COOKIE = "tocsin_zone"
LIVE_COOKIE = "tocsin_live"
MOST_MARKERS = 40
NOT_KEPT = {*chosen.PARAMETERS, "before", EMBED}
"""What `here` says anew or leaves out: a page of older rows does not survive a change of the question."""


@dataclass(frozen=True)
class View:
    """One request of one page."""

    request: Request
    page: Page
    principal: Principal
    choice: Choice
    zone: tzinfo
    now_ns: int

    @property
    def store(self) -> TelemetryStore:
        store: TelemetryStore = self.request.app.state.tocsin.store
        return store

    @property
    def scope(self) -> Scope:
        return self.principal.scope

    @cached_property
    def window(self) -> Window:
        return self.choice.window(self.now_ns)

    @cached_property
    def filter(self) -> Filter:
        """What the reader chose; pages narrow it with `dataclasses.replace`."""
        return Filter(self.window, environment=self.choice.environment, tenant=self.choice.tenant)

    @property
    def is_fragment(self) -> bool:
        """Whether the live part of the page is asked for, not the whole."""
        return self.request.headers.get("hx-request") == "true"

    @property
    def is_live(self) -> bool:
        return self.choice.refresh_seconds > 0 and self.request.cookies.get(LIVE_COOKIE) != "off"

    @property
    def range_seconds(self) -> int:
        """The length of the chosen range that ends now."""
        return RANGES[self.choice.range]

    @property
    def span_words(self) -> str:
        """The chosen time in words that follow 'in': 'the last hour', 'this time'."""
        return "this time" if self.choice.is_absolute else f"the last {chosen.SPOKEN[self.choice.range]}"

    @property
    def before_words(self) -> str:
        """The time of the same length before, in words that follow 'than': 'the hour before'."""
        return "the time before" if self.choice.is_absolute else f"the {chosen.SPOKEN[self.choice.range]} before"

    def before(self, narrowed: Filter) -> Filter:
        """The same question about the time of the same length just before."""
        return replace(narrowed, window=narrowed.window.before())

    def link(self, path: str, **parameters: object) -> str:
        """A path of the product with the reader's choice; `range`, `tenant`, `env` and others can be given, None or ''
        leaves one out."""
        return self.address(path, {**self.choice.parameters(), **parameters})

    def traces_in(self, **narrowed: object) -> str:
        """The search for traces without its time, which a chart adds for the point that is clicked."""
        return self.link("/traces", **narrowed, range=None, start=None, end=None)

    def rest(self, path: str, **parameters: object) -> str:
        """The REST call, below /api/v1, that answers for what the reader chose, with a tenant or others given."""
        said = dict(self.choice.parameters())
        if "env" in said:
            said["environment"] = said.pop("env")
        return self.address(f"/api/v1{path}", {**said, **parameters})

    def here(self, **changes: object) -> str:
        """This very page with some parameters changed, also in the URL's path when the page is about a tenant."""
        path = self.path
        kept: dict[str, Any] = {}
        for name, value in self.kept:
            kept.setdefault(name, []).append(value)
        tenant = changes.get("tenant")
        if "tenant" in self.request.path_params and "tenant" in changes:
            path, changes = (f"/tenants/{segment(str(tenant))}", {}) if tenant else ("/tenants", {"tenant": None})
            kept = {}
        if "range" in changes:
            changes = {"start": None, "end": None, **changes}
        return self.address(path, {**self.choice.parameters(), **kept, **changes})

    def address(self, path: str, parameters: dict[str, Any]) -> str:
        if self.request.query_params.get(EMBED) == "1" and not path.startswith("/api/"):
            parameters = {**parameters, EMBED: "1"}
        given = {name: value for name, value in parameters.items() if value is not None and value != ""}
        return f"{self.root}{path}" + (f"?{urlencode(given, doseq=True)}" if given else "")

    @property
    def kept(self) -> list[tuple[str, str]]:
        """The page's own parameters, as they stand in the URL."""
        return [(name, value) for name, value in self.request.query_params.multi_items() if name not in NOT_KEPT]

    @property
    def path(self) -> str:
        """The path of this request below the root of the product."""
        return inner_path(self.request)

    @property
    def page_path(self) -> str:
        return self.root + self.path

    @property
    def shown_tenant(self) -> str | None:
        """The tenant the page is about: that of its path, else the chosen one."""
        return self.request.path_params.get("tenant") or self.choice.tenant

    def local_input(self, instant_ns: int) -> str:
        """A moment as a `datetime-local` field takes it."""
        return datetime.fromtimestamp(instant_ns // 1_000_000_000, tz=self.zone).strftime("%Y-%m-%dT%H:%M")

    def cell_time(self, place: int, count: int) -> str:
        """When one of `count` equal cells of the chosen time begins and ends."""
        length_ns = (self.window.end_ns - self.window.start_ns) // count
        start_ns = self.window.start_ns + place * length_ns
        return " – ".join(format.clock(at_ns, self.zone, self.now_ns) for at_ns in (start_ns, start_ns + length_ns))

    def cell_words(self, count: int) -> str:
        """The length of one of `count` equal cells: '2-minute'."""
        return format.duration(self.window.seconds / count).replace(format.NARROW, "\u2009")

    @property
    def root(self) -> str:
        return root_of(self.request)

    @property
    def speech(self) -> Speech:
        """What the headlines need of this request."""
        return Speech(self.link, self.here, self.now_ns, self.zone, self.span_words, self.before_words)

    @cached_property
    def tenants(self) -> list[str]:
        return tenants_query.known_tenants(self.store, self.scope)

    @cached_property
    def environments(self) -> list[str]:
        return tenants_query.known_environments(self.store, self.scope)

    @cached_property
    def harmed(self) -> list[HarmedTenant]:
        """The tenants hurt within the chosen environment, whatever tenant is chosen: the navigation counts them."""
        return tenants_query.harmed(self.store, self.scope, replace(self.filter, tenant=None))

    @cached_property
    def markers(self) -> list[Marker]:
        """What happened in the chosen time, for every chart: deploys, flags, migrations; where the page is about a
        service, its own."""
        asked = replace(self.filter, service=self.request.path_params.get("service"), tenant=self.shown_tenant)
        return [
            Marker(one.time_ns / 1e9, one.title, self.happened_href(one), one.kind, one.text)
            for one in happened(self.store, self.scope, asked, limit=MOST_MARKERS)
        ]

    def happened_href(self, one: Annotation) -> str:
        """Where an annotation leads: a deploy to its release."""
        if one.kind != "deploy":
            return ""
        return self.link(f"/releases/{segment(one.service)}/{segment(one.release)}", env=one.environment or None)

    @cached_property
    def firing(self) -> int:
        """Alerts that nobody took yet: the navigation counts them."""
        return firing_count(self.request, self.scope)

    @cached_property
    def has_data(self) -> bool:
        """Whether anything was ever received."""
        return bool(self.environments or self.tenants)

    def must_see(self, tenant: str) -> None:
        """404 unless the reader may see this tenant; the same answer as for one that does not exist."""
        if not self.scope.allows(tenant):
            raise HTTPException(404, f"There is no tenant {tenant}, or it is not yours to see.")

    def render(self, **context: Any) -> Response:
        """The page, or its live part when that is asked for."""
        template = f"_{self.page.id}.html" if self.is_fragment else f"{self.page.id}.html"
        return render(self.request, template, view=self, page=self.page, principal=self.principal, **context)


def view_of(page: Page) -> Callable[..., View]:
    """The dependency that gives the View of a page, after checking that the reader may open it."""

    def view(request: Request, principal: Annotated[Principal, Depends(current_principal)]) -> View:
        if not principal.has(page.role):
            raise HTTPException(403, f"{page.title} is open to the role {page.role.value} and above.")
        zone = zone_of(request)
        made = View(request, page, principal, _allowed_choice(request, principal, zone), zone, time.time_ns())
        if page.notes_reads:
            note_read(request, principal, made.shown_tenant, page.id)
        return made

    return view


def zone_of(request: Request) -> tzinfo:
    """The reader's time zone, told by their browser in a cookie; UTC until it did."""
    try:
        return ZoneInfo(request.cookies.get(ZONE_COOKIE, "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a cookie is anybody's text
        return UTC


def _allowed_choice(request: Request, principal: Principal, zone: tzinfo) -> Choice:
    try:
        choice = chosen.choose(request.query_params, request.cookies.get(chosen.COOKIE, ""), zone)
    except TimeRangeError as error:
        raise HTTPException(400, str(error)) from error
    if choice.tenant and not principal.scope.allows(choice.tenant):
        if "tenant" in request.query_params:
            raise HTTPException(404, f"There is no tenant {choice.tenant}, or it is not yours to see.")
        return replace(choice, tenant=None)  # remembered from another person at this browser
    return choice
