"""All boards somebody may see: those that come with Tocsin and those kept in the control store, which go first."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model.access import Principal, Role
from tocsin.model.control import StoredDashboard
from tocsin.model.dashboard import Dashboard
from tocsin.model.dashboard_text import read_dashboard, write_dashboard
from tocsin.model.yaml_text import TextError
from tocsin.query.promql.errors import PromQLError
from tocsin.query.promql.parser import parse
from tocsin.query.variables import REFERENCE
from tocsin.storage.control import ControlStore
from tocsin.web.dashboards import shipped


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard with where it comes from. `stored` is None for one that is as it was shipped."""

    dashboard: Dashboard
    stored: StoredDashboard | None
    is_shipped: bool

    @property
    def text(self) -> str:
        return self.stored.text if self.stored else write_dashboard(self.dashboard)

    @property
    def version(self) -> int:
        return self.stored.version if self.stored else 0


def visible(dashboard: Dashboard, principal: Principal) -> bool:
    """Boards made here may name tenants: who sees only some of them sees what is meant for everyone."""
    return dashboard.audience == "everyone" or principal.has(Role.VIEWER)


def boards(control: ControlStore, principal: Principal) -> list[Board]:
    """By title. A stored text of a newer version that cannot be read is left out."""
    found = {board.id: Board(board, None, True) for board in shipped().values()}
    for stored in control.dashboards.all():
        if (dashboard := _read(stored)) is not None:
            found[stored.id] = Board(dashboard, stored, stored.id in shipped())
    kept = [board for board in found.values() if visible(board.dashboard, principal)]
    return sorted(kept, key=lambda board: board.dashboard.title.lower())


def board_of(control: ControlStore, principal: Principal, id: str) -> Board | None:
    """None when there is none, or it is not for this person."""
    stored = control.dashboards.find(id)
    dashboard = _read(stored) if stored else shipped().get(id)
    if dashboard is None or not visible(dashboard, principal):
        return None
    return Board(dashboard, stored, id in shipped())


def _read(stored: StoredDashboard) -> Dashboard | None:
    try:
        return read_dashboard(stored.text, stored.id)
    except TextError:
        return None


def doubts(dashboard: Dashboard) -> list[str]:
    """Queries that are no PromQL, as far as that can be told before their variables have values."""
    found = []
    asked = [(f"panel {panel.id} '{panel.title}'", query.expr) for panel in dashboard.panels for query in panel.queries]
    asked += [(f"annotation '{one.name}'", one.expr) for one in dashboard.annotations]
    for panel in dashboard.panels:
        asked += [(f"panel {panel.id} '{panel.title}'", fact.expr) for fact in panel.facts]
        asked += [(f"panel {panel.id} '{panel.title}'", mark.expr) for mark in panel.marks]
    for where, expr in asked:
        try:
            parse(REFERENCE.sub(lambda match: "5m" if "interval" in match[0] or "range" in match[0] else "x", expr))
        except PromQLError as error:
            found.append(f"{where}: {error}")
    return found
