"""The name and the accent colour that an operator gives the pages, and which other sites may frame them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.requests import HTTPConnection
from starlette.responses import Response

from tocsin.model.settings import setting
from tocsin.web.state import state_of

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
ANCESTOR = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:\d{1,5})?")
EMBED = "embed"
"""The parameter that shows a page without navigation, for a frame in another site."""

router = APIRouter()


@dataclass(frozen=True)
class SiteSettings:
    """How the pages present themselves."""

    name: str = setting("Tocsin", help="Name above the navigation and in titles; set it to your product's.")
    accent: str = setting("", help="Colour of links and buttons as #rrggbb; empty keeps the one of the theme.")
    frame_ancestors: tuple[str, ...] = setting(
        (),
        help="Origins such as https://admin.example.com that may show pages with embed=1 in a frame. They must share "
        "this server's registrable domain, or browsers keep the session from the frame.",
    )

    def __post_init__(self) -> None:
        if self.accent and not COLOUR.fullmatch(self.accent):
            raise ValueError(f"accent = '{self.accent[:40]}' is no colour; write it as #3157d5")
        for origin in self.frame_ancestors:
            if not ANCESTOR.fullmatch(origin):
                raise ValueError(f"frame_ancestors has '{origin[:80]}'; write origins as https://admin.example.com")


def site_settings_of(request: HTTPConnection) -> SiteSettings:
    return state_of(request).settings[SiteSettings]


def theme_path(settings: SiteSettings) -> str:
    """Where the stylesheet with the accent is served, below the root; '' when there is none."""
    if not settings.accent:
        return ""
    return f"/theme.css?v={hashlib.sha256(settings.accent.encode()).hexdigest()[:12]}"


def theme(accent: str) -> str:
    """The tokens that an accent replaces, lightened where the ground is dark."""
    light = (
        f"--accent: {accent}; --accent-ink: {_ink_on(accent)}; --accent-soft: color-mix(in srgb, {accent} 12%, white);"
    )
    bright = f"color-mix(in srgb, {accent} 62%, white)"
    dark = f"--accent: {bright}; --accent-ink: #0e1116; --accent-soft: color-mix(in srgb, {accent} 28%, #0e1116);"
    return (
        f":root {{ {light} }}\n:root[data-theme='dark'] {{ {dark} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme='light']) {{ {dark} }} }}\n"
    )


def _ink_on(colour: str) -> str:
    """Black or white, whichever is read better on the colour.  Source: WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return "#0e1116" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#ffffff"


@router.get("/theme.css")
async def stylesheet(request: Request) -> Response:
    """Public, like all stylesheets: the sign-in page wears it too."""
    accent = site_settings_of(request).accent
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(theme(accent) if accent else "", media_type="text/css", headers=headers)
