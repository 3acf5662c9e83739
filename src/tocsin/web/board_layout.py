"""Where panels stand: a grid of 24 columns cut into bands, because the page's rules allow classes but no styles.

A band holds panels that overlap in height; within it a panel's row counts from the band's top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.web.panels import Shown

TALLEST = 60


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel with the classes that say where it stands."""

    shown: Shown
    classes: str


@dataclass(frozen=True, slots=True)
class Band:
    placed: Sequence[Placed]


@dataclass(frozen=True, slots=True)
class Section:
    """Bands below a row's title; those before the first row have none. A collapsed section opens on demand."""

    title: str
    is_collapsed: bool
    bands: Sequence[Band]


def sections(panels: Sequence[Shown]) -> list[Section]:
    """`panels` come in the order of the grid."""
    groups: list[tuple[Shown | None, list[Shown]]] = [(None, [])]
    for shown in panels:
        if shown.panel.type == "row":
            groups.append((shown, []))
        else:
            groups[-1][1].append(shown)
    return [
        Section(row.panel.title if row else "", bool(row and row.panel.is_collapsed), _bands(held))
        for row, held in groups
        if row or held
    ]


def _bands(panels: Sequence[Shown]) -> list[Band]:
    bands: list[list[Shown]] = []
    bottom = -1
    for shown in panels:
        at = shown.panel.position
        top = bands[-1][0].panel.position.y if bands else 0
        if not bands or at.y >= bottom or at.y + at.h - top > TALLEST:
            bands.append([])
            bottom = at.y
        bands[-1].append(shown)
        bottom = max(bottom, at.y + at.h)
    return [Band([_placed(shown, held[0].panel.position.y) for shown in held]) for held in bands]


def _placed(shown: Shown, top: int) -> Placed:
    at = shown.panel.position
    return Placed(shown, f"x{at.x + 1} w{at.w} y{at.y - top + 1} h{at.h}")
