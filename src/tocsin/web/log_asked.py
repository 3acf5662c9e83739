"""The words of an address that say which log lines are meant: the same for pages, REST and links between them."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import HTTPException

from tocsin.model.log_views import BUILT_IN, LogView
from tocsin.model.window import Window
from tocsin.query.filters import Filter
from tocsin.query.log_filter import LogQuery, level_asked
from tocsin.query.log_words import LogQueryError, parse
from tocsin.query.logs import Cursor
from tocsin.web.view import View

PARAMETERS = ("q", "service", "level", "view", "threshold", "trace_id", "method", "route")
"""What narrows a search of logs, beside time, tenant and environment."""
EARLIER_NS = 5 * 10**9
"""Lines take a moment to arrive; those that a page shows already are left out there."""
_UNITS = (("ms", 1e-3), ("s", 1.0), ("m", 60.0))


def log_query(asked: Filter, said: Mapping[str, str]) -> LogQuery:
    """The lines an address asks for. Raises HTTPException 400 for what cannot be read."""
    try:
        query = LogQuery(
            window=asked.window,
            environment=asked.environment,
            tenant=asked.tenant,
            service=said.get("service") or asked.service or None,
            least_level=level_asked(said["level"]) if said.get("level") else "",
            text=parse(said.get("q", "")),
            trace_ids=(said["trace_id"],) if said.get("trace_id") else (),
            view=view_asked(said.get("view", ""), said.get("threshold", "")),
            method=said.get("method") or None,
            route=said.get("route") or None,
        )
        query.condition()
    except LogQueryError as error:
        raise HTTPException(400, str(error)) from error
    return query


def view_asked(id: str, threshold: str = "") -> LogView | None:
    """The saved view of this id with a threshold such as 500ms. Raises LogQueryError."""
    if not id:
        return None
    if id not in BUILT_IN:
        raise LogQueryError(f"cannot show view '{id[:40]}': pick one of {', '.join(BUILT_IN)}")
    return BUILT_IN[id].with_threshold(threshold_seconds(threshold))


def threshold_seconds(text: str) -> float | None:
    """500ms, 1.5s or 2 (seconds) in seconds; None for nothing. Raises LogQueryError."""
    said = text.strip().lower()
    if not said:
        return None
    number, factor = next(
        ((said.removesuffix(unit), factor) for unit, factor in _UNITS if said.endswith(unit)), (said, 1.0)
    )
    try:
        seconds = float(number) * factor
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise LogQueryError(f"cannot use threshold '{text[:40]}': write a time such as 500ms or 1.5s")
    return seconds


def cursor_asked(text: str) -> Cursor | None:
    """Raises HTTPException 400."""
    try:
        return Cursor.read(text) if text else None
    except LogQueryError as error:
        raise HTTPException(400, str(error)) from error


def since_ns(text: str) -> int | None:
    """Unix nanoseconds as somebody wrote them; None for anything else."""
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    return int(text) if is_number and int(text) < 9 * 10**18 else None


def follow_address(view: View, kept: Mapping[str, str]) -> str:
    """Where a page follows the lines it shows; their time begins a little before the page was drawn."""
    asked = {"range": "15m", "start": None, "end": None, "since": str(view.now_ns - EARLIER_NS)}
    return view.link("/logs/tail", **{**kept, **asked})


def spans_window(start_ns: int, duration_ns: int) -> Window:
    """The time of a trace."""
    return Window(start_ns, start_ns + max(duration_ns, 1))
