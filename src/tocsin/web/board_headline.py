"""The sentence that opens a board: which of its figures are beyond their thresholds, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.model.dashboard import Dashboard
from tocsin.model.thresholds import tone_of
from tocsin.web import format
from tocsin.web.boards import Board
from tocsin.web.panels import Shown
from tocsin.web.units import written
from tocsin.web.words import Headline, Part, Speech


def board(say: Speech, dashboard: Dashboard, panels: Sequence[Shown]) -> Headline:
    """Worst first: what is beyond its threshold now."""
    found = [(tone, words) for shown in panels if (told := _beyond(shown)) for tone, words in [told]]
    bad = [words for tone, words in found if tone == "bad"]
    close = [words for tone, words in found if tone == "warn"]
    # That nothing fires is no figure, and no signal that is missing.
    asking = [shown for shown in panels if shown.panel.type not in ("row", "text") and shown.panel.source != "alerts"]
    waiting = [shown for shown in asking if shown.waits]
    failing = [shown for shown in asking if shown.notes]
    sub = _missing(waiting, failing)
    name = Part(f"{dashboard.title}: ")
    if bad:
        more = f", and {format.count_word(len(close))} more close to it" if close else ""
        return Headline("bad", (name, Part(format.join(bad), is_harm=True), Part(f" beyond the threshold{more}.")), sub)
    if close:
        return Headline("warn", (name, Part(f"{format.join(close)} close to harm.")), sub)
    if asking and len(waiting) == len(asking):
        return Headline("quiet", (name, Part(f"nothing to show for {say.span} yet.")), sub)
    if any(shown.panel.thresholds != type(shown.panel.thresholds)() for shown in asking if not shown.waits):
        return Headline("ok", (name, Part("every figure is within its thresholds.")), sub)
    return Headline(
        "quiet", (name, Part(f"{format.plural(len(asking) - len(waiting), 'panel')} over {say.span}.")), sub
    )


def _beyond(shown: Shown) -> tuple[str, str] | None:
    """The worst tone of the panel's present figures, with words for it."""
    panel = shown.panel
    figures = [(row.tone, row.text) for row in shown.readings]
    if shown.chart:
        rows = [row for row in shown.chart.legend if not row.is_apart]
        figures = [
            (
                tone_of(row.last, panel.thresholds, panel.min, panel.max),
                f"{row.label if len(rows) > 1 else ''} {written(row.last, panel.unit, panel.decimals)}".strip(),
            )
            for row in rows
        ]
    for wanted in ("bad", "warn"):
        found = [text for tone, text in figures if tone == wanted]
        if found:
            return wanted, f"{panel.title} {found[0]}"
    return None


def _missing(waiting: Sequence[Shown], failing: Sequence[Shown]) -> tuple[Part, ...]:
    parts = []
    if failing:
        names = format.join([shown.panel.title for shown in failing])
        parts.append(Part(f"{names} cannot be answered. "))
    if waiting:
        names = format.join([shown.panel.title for shown in waiting], 4)
        parts.append(Part(f"{names} {'waits' if len(waiting) == 1 else 'wait'} for a signal."))
    return tuple(parts)


def boards(rows: Sequence[Board]) -> Headline:
    """Of the list."""
    own = sum(1 for row in rows if row.stored)
    made = f"; {format.count_word(own)} of them {'was' if own == 1 else 'were'} made or changed here" if own else ""
    return Headline("quiet", (Part(f"{format.plural(len(rows), 'dashboard')}{made}."),))
