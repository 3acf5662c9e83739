"""The boards that come with Tocsin: one YAML file each, its name the board's id."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tocsin.model.dashboard import Dashboard
from tocsin.model.dashboard_text import read_dashboard


@cache
def shipped() -> dict[str, Dashboard]:
    """By id, in the order of their titles."""
    found = [read_dashboard(file.read_text("utf-8"), file.name) for file in Path(__file__).parent.glob("*.yaml")]
    return {board.id: board for board in sorted(found, key=lambda board: board.title)}
