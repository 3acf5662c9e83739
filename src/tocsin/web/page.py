"""What a page says about itself, and all pages there are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import cast

from fastapi import APIRouter

from tocsin.model.access import RANK, Role
from tocsin.registry import plugins

GROUPS = ("", "Explore", "Inside", "Customers", "Trust", "Settings")
"""The groups of the navigation in their order; groups of other distributions follow."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the product; the navigation, the search box and the keyboard read it.

    `group` is a heading of the navigation ('' stands above all headings), `order` the place within it. `role` is the
    least that may open the page. `key` is the letter that opens it after `g`. `parent` is the id of the page that stays
    marked in the navigation while this one, a detail, is open; pages with a parent are not listed. `notes_reads`:
    opening it counts as reading the telemetry of the chosen tenant; False where there is none, or where the page notes
    it itself once it knows whose it is.
    """

    id: str
    title: str
    group: str
    path: str
    order: int
    role: Role = Role.TENANT_VIEWER
    key: str = ""
    parent: str = ""
    notes_reads: bool = True

    @property
    def is_listed(self) -> bool:
        return not self.parent

    @property
    def nav_id(self) -> str:
        """The id of the entry of the navigation this page belongs to."""
        return self.parent or self.id


@cache
def found() -> tuple[tuple[Page, APIRouter], ...]:
    """Every page with its router, in the order of the navigation."""
    modules = [module for _, module in plugins("tocsin.web.pages")]
    pages = [(cast(Page, module.page), cast(APIRouter, module.router)) for module in modules]
    return tuple(sorted(pages, key=lambda pair: (_group_place(pair[0].group), pair[0].order, pair[0].id)))


def listed(role_allows: Role | None) -> list[Page]:
    """The pages of the navigation that a holder of this role may open; nobody signed in sees none."""
    if role_allows is None:
        return []
    return [page for page, _ in found() if page.is_listed and RANK[page.role] <= RANK[role_allows]]


def _group_place(group: str) -> tuple[int, str]:
    return (GROUPS.index(group), "") if group in GROUPS else (len(GROUPS), group)
