"""What Tallyroom's users do: an action is one HTTP request; a visitor remembers what the answers told them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from demo.tenants import PASSWORD, TENANTS, Tenant, user_email

Need = Literal["nothing", "token", "project", "report", "invoice", "job"]
Kind = Literal["anybody", "owner", "staff"]
STAFF_EMAIL = "staff@tallyroom.example"


@dataclass(frozen=True)
class Call:
    """One request to make. Method WEBSOCKET opens a socket, takes two notifications and leaves."""

    method: str
    path: str
    json: Any = None
    files: Any = None


@dataclass
class Visitor:
    """A signed-in (or not yet signed-in) user and what they have seen so far: ids of projects, reports, exports."""

    email: str
    tenant: str
    token: str = ""
    projects: list[int] = field(default_factory=list)
    reports: list[tuple[int, int]] = field(default_factory=list)
    invoices: list[int] = field(default_factory=list)
    jobs: list[int] = field(default_factory=list)

    def knows(self, need: Need) -> bool:
        """Whether an action with this need can be done now."""
        known = {
            "nothing": True,
            "token": bool(self.token),
            "project": bool(self.projects),
            "report": bool(self.reports),
            "invoice": bool(self.invoices),
            "job": bool(self.jobs),
        }
        return known[need] and (need == "nothing" or bool(self.token))

    def forget(self) -> None:
        """Sign out: nothing is known any more."""
        self.token = ""
        for known in (self.projects, self.reports, self.invoices, self.jobs):
            known.clear()


@dataclass(frozen=True)
class Action:
    """Something users do: how often (`weight`, relative), what must be known before, and the request it makes."""

    name: str
    weight: float
    need: Need
    call: Callable[[Visitor, random.Random], Call]
    kind: Kind = "anybody"
    expected: int = 200


def _get(path: str) -> Callable[[Visitor, random.Random], Call]:
    return lambda _visitor, _rng: Call("GET", path)


def _login(visitor: Visitor, _rng: random.Random) -> Call:
    return Call("POST", "/api/v1/auth/login", json={"email": visitor.email, "password": PASSWORD})


def _wrong_password(visitor: Visitor, _rng: random.Random) -> Call:
    return Call("POST", "/api/v1/auth/login", json={"email": visitor.email, "password": "password1"})


def _show_project(visitor: Visitor, rng: random.Random) -> Call:
    return Call("GET", f"/api/v1/projects/{rng.choice(visitor.projects)}")


def _open_report(visitor: Visitor, rng: random.Random) -> Call:
    project_id, report_id = rng.choice(visitor.reports)
    return Call("GET", f"/api/v1/projects/{project_id}/reports/{report_id}")


def _export_report(visitor: Visitor, rng: random.Random) -> Call:
    project_id, report_id = rng.choice(visitor.reports)
    return Call("POST", f"/api/v1/projects/{project_id}/reports/{report_id}/exports")


def _check_export(visitor: Visitor, _rng: random.Random) -> Call:
    return Call("GET", f"/api/v1/exports/{visitor.jobs[-1]}")


def _book_entry(visitor: Visitor, rng: random.Random) -> Call:
    cents = [rng.randrange(-50_000, 90_000) for _ in range(rng.randrange(1, 4))]
    entry = {
        "memo": "booked by hand",
        "currency": rng.choice(("USD", "EUR", "GBP", "JPY")),
        "amount_cents": sum(cents),
        "booked_on": datetime.now(UTC).date().isoformat(),
        "splits": [{"account": rng.choice(("travel", "hosting", "advice")), "amount_cents": part} for part in cents],
    }
    return Call("POST", f"/api/v1/projects/{rng.choice(visitor.projects)}/entries", json=entry)


def _book_badly(visitor: Visitor, rng: random.Random) -> Call:
    call = _book_entry(visitor, rng)
    mistake = rng.choice(({"amount_cents": 1_000_001}, {"currency": "EURO"}, {"memo": ""}, {"booked_on": "yesterday"}))
    return Call(call.method, call.path, json=call.json | mistake)


def _missing_project(_visitor: Visitor, rng: random.Random) -> Call:
    return Call("GET", f"/api/v1/projects/{rng.randrange(900_000, 999_999)}")


def _missing_page(_visitor: Visitor, rng: random.Random) -> Call:
    return Call(
        "GET", rng.choice(("/wp-login.php", "/favicon.ico", "/api/v2/projects", f"/old/{rng.randrange(10_000)}"))
    )


def _render_invoice(visitor: Visitor, rng: random.Random) -> Call:
    return Call("POST", f"/api/v1/invoices/{rng.choice(visitor.invoices)}/render")


def _download_ledger(visitor: Visitor, rng: random.Random) -> Call:
    return Call("GET", f"/api/v1/projects/{rng.choice(visitor.projects)}/ledger.csv")


def _attach(visitor: Visitor, rng: random.Random) -> Call:
    content = rng.randbytes(rng.randrange(1_000, 60_000))
    return Call(
        "POST", f"/api/v1/projects/{rng.choice(visitor.projects)}/attachments", files={"file": ("a.pdf", content)}
    )


def _switch(visitor: Visitor, _rng: random.Random) -> Call:
    return Call("POST", "/api/v1/auth/switch", json={"org_id": TENANTS[-1].slug})


def _search(_visitor: Visitor, rng: random.Random) -> Call:
    return Call("GET", f"/api/v1/search?q={rng.choice(('audit', 'quarter 2', 'northwind', 'pilot', 'zzz'))}")


def _public_customer(_visitor: Visitor, rng: random.Random) -> Call:
    return Call("GET", f"/public/customers/{rng.choice(TENANTS).slug}")


def _set_flag(_visitor: Visitor, rng: random.Random) -> Call:
    # What they have already: staff look and save; whoever wants a flag to change switches a fault.
    org_id, variant = rng.choice((("hooli", "on"), ("pied-piper", "on"), ("stark", "off")))
    return Call("PUT", f"/api/v1/admin/flags/new-dashboard/{org_id}", json={"variant": variant})


def _socket(visitor: Visitor, _rng: random.Random) -> Call:
    return Call("WEBSOCKET", f"/api/v1/notifications/socket?token={visitor.token}")


LOGIN = Action("login", 0, "nothing", _login)
LIST_PROJECTS = Action("list projects", 12, "token", _get("/api/v1/projects"))
SHOW_PROJECT = Action("show project", 11, "project", _show_project)
EXPORT_REPORT = Action("export report", 4, "report", _export_report, expected=202)
LIST_INVOICES = Action("list invoices", 3, "token", _get("/api/v1/invoices"))

# Signing in has no weight of its own: visitors do it when they come, and so open projects before reports.
ACTIONS = (
    LOGIN,
    LIST_PROJECTS,
    SHOW_PROJECT,
    EXPORT_REPORT,
    LIST_INVOICES,
    Action("dashboard", 17, "token", _get("/api/v1/dashboard")),
    Action("open report", 11, "report", _open_report),
    Action("recent reports", 6, "token", _get("/api/v1/reports/recent")),
    Action("search", 6, "token", _search),
    Action("notifications", 8, "token", _get("/api/v1/notifications")),
    Action("check export", 3, "job", _check_export),
    Action("book entry", 5, "project", _book_entry, expected=201),
    Action("book entry badly", 1.5, "project", _book_badly, expected=422),
    Action("missing project", 1, "token", _missing_project, expected=404),
    Action("missing page", 1, "nothing", _missing_page, expected=404),
    Action("wrong password", 0.7, "nothing", _wrong_password, expected=401),
    Action("render invoice", 3, "invoice", _render_invoice),
    Action("download ledger", 1.5, "project", _download_ledger),
    Action("attach file", 1, "project", _attach, expected=201),
    Action("notification stream", 0.3, "token", _get("/api/v1/notifications/stream?events=3")),
    Action("notification socket", 0.3, "token", _socket, expected=101),
    Action("switch organisation", 0.7, "token", _switch, kind="owner"),
    Action("members", 1, "token", _get("/api/v1/organisation/members"), kind="owner"),
    Action("organisation", 1, "token", _get("/api/v1/organisation"), kind="owner"),
    Action("flags", 1.5, "token", _get("/api/v1/organisation/flags")),
    Action("admin organisations", 0.6, "token", _get("/api/v1/admin/organisations"), kind="staff"),
    Action("admin flag", 0.2, "token", _set_flag, kind="staff"),
    Action("public customer", 1, "nothing", _public_customer),
    Action("public prices", 1, "nothing", _get("/public/prices")),
)

# What to do instead of an action while what it needs is unknown.
_FIRST: dict[Need, Action] = {
    "token": LOGIN,
    "project": LIST_PROJECTS,
    "report": SHOW_PROJECT,
    "invoice": LIST_INVOICES,
    "job": EXPORT_REPORT,
}


def possible_action(visitor: Visitor, wanted: Action) -> Action:
    """The wanted action, or the first one on the way to it that the visitor can do now."""
    if wanted.need == "nothing" or visitor.knows(wanted.need):
        return wanted
    if not visitor.token:
        return LOGIN
    return possible_action(visitor, _FIRST[wanted.need])


def learn(visitor: Visitor, action: Action, answer: Any) -> None:
    """Remember what the JSON of a successful answer tells: the token, or ids to go on with."""
    match action.name:
        case "login" | "switch organisation":
            visitor.forget()
            visitor.token = answer["token"]
        case "list projects":
            visitor.projects[:] = [project["id"] for project in answer]
        case "show project":
            visitor.reports[:] = [(answer["id"], report["id"]) for report in answer["reports"]] or visitor.reports
        case "list invoices":
            visitor.invoices[:] = [invoice["id"] for invoice in answer]
        case "export report":
            visitor.jobs.append(answer["job_id"])


class Crowd:
    """The visitors of every tenant: some members who come and go, the owner, and Tallyroom's one member of staff."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._members = {tenant.slug: [_member(tenant, rng) for _ in range(_present(tenant))] for tenant in TENANTS}
        self._owners = {tenant.slug: Visitor(user_email(tenant.slug, 0), tenant.slug) for tenant in TENANTS}
        self._staff = Visitor(STAFF_EMAIL, "")

    def visitor(self, tenant: Tenant, kind: Kind) -> Visitor:
        """Somebody of the tenant; one time in fifty a member has left and another has come."""
        if kind == "staff":
            return self._staff
        if kind == "owner":
            return self._owners[tenant.slug]
        members = self._members[tenant.slug]
        seat = self._rng.randrange(len(members))
        if self._rng.random() < 0.02:
            members[seat] = _member(tenant, self._rng)
        return members[seat]


def _present(tenant: Tenant) -> int:
    return max(1, tenant.seats // 40)


def _member(tenant: Tenant, rng: random.Random) -> Visitor:
    # The product has at least three users in every organisation, however small it was seeded.
    number = rng.randrange(1, 3) if rng.random() < 0.3 else rng.randrange(1, max(3, tenant.seats))
    return Visitor(user_email(tenant.slug, number), tenant.slug)
