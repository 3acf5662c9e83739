"""Templates to responses: the shell's context and the cookie that remembers the choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tocsin.query.log_words import with_field
from tocsin.query.promql.literals import format_float
from tocsin.query.timerange import RANGES
from tocsin.web import assets, format
from tocsin.web.choice import COOKIE, SPOKEN
from tocsin.web.page import GROUPS, found, listed
from tocsin.web.paths import inner_path, root_of, segment
from tocsin.web.units import written
from tocsin.web.white_label import EMBED, site_settings_of, theme_path

HEADERS = {"Vary": "Cookie, HX-Request"}
"""The same address answers with a whole page or with its live part."""

THEME_COOKIE = "tocsin_theme"
REMEMBER_SECONDS = 30 * 86_400


def render(request: Request, template_name: str, status_code: int = 200, **context: Any) -> Response:
    """The page drawn from `templates/<template_name>` inside the shell, with what every page needs."""
    view = context.get("view")
    template = TEMPLATES.get_template(template_name)
    response = HTMLResponse(template.render(**_shell(request, context), **context), status_code, headers=HEADERS)
    if view is not None:
        path = view.root or "/"
        response.set_cookie(COOKIE, view.choice.cookie(), max_age=REMEMBER_SECONDS, path=path, samesite="lax")
    return response


def _shell(request: Request, context: dict[str, Any]) -> dict[str, Any]:
    """What base.html reads, apart from what the caller gave."""
    root, site = root_of(request), site_settings_of(request)
    theme = request.cookies.get(THEME_COOKIE, "")
    principal = context.get("principal") or getattr(request.state, "principal", None)
    shell: dict[str, Any] = {
        "request": request,
        "view": None,
        "principal": principal,
        "page": _page_at(inner_path(request)),
        "navigation": _navigation(principal.role if principal else None),
        "theme": theme if theme in ("light", "dark") else "",
        "root": root,
        "static": lambda name: root + assets.static_path(name),
        "origin": str(request.base_url).rstrip("/"),
        "site": site,
        "theme_css": root + theme_path(site) if site.accent else "",
        "is_embedded": request.query_params.get(EMBED) == "1",
        "host": f"{request.url.scheme}://{request.url.netloc}",
    }
    return {name: value for name, value in shell.items() if name not in context}


def _page_at(path: str) -> Any:
    return next((page for page, _ in found() if page.path == path), None)


def _navigation(role: Any) -> list[tuple[str, list[Any]]]:
    """(heading, pages) in order, only what the role may open."""
    pages = listed(role)
    groups = dict.fromkeys([*GROUPS, *(page.group for page in pages)])
    return [(group, mine) for group in groups if (mine := [page for page in pages if page.group == group])]


def _environment() -> Environment:
    folder = Path(__file__).parent / "templates"
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "ago": format.ago,
        "breakable": _breakable,
        "bytes": format.size,
        "clock": format.clock,
        "code_line": format.code_line,
        "duration": format.duration,
        "field": lambda name, value: with_field("", name, str(value)),
        "instant": lambda moment: int(moment.timestamp() * 1e9),
        "joined": format.join,
        "ms": format.milliseconds,
        "number": format.number,
        "percent": format.percent,
        "plural": format.plural,
        "segment": segment,
        "sentence": format.sentence,
        "share": format.share,
        "short_id": format.short_id,
        "time_of_day": format.time_of_day,
        "timestamp": format.timestamp,
        "full": lambda value: format.NOTHING if value is None else format_float(value),
        "unit": written,
    }
    made.globals |= {"RANGES": list(RANGES), "SPOKEN": SPOKEN}
    return made


def _breakable(name: str, sign: str = ".") -> Markup:
    """A name that may break before each dot or slash."""
    return (Markup("<wbr>") + sign).join(name.split(sign))


TEMPLATES = _environment()
