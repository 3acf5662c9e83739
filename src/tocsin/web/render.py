"""Templates to responses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tocsin.web.paths import root_of

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)


def render(request: Request, template_name: str, status_code: int = 200, **context: Any) -> Response:
    """The page drawn from `templates/<template_name>`."""
    template = TEMPLATES.get_template(template_name)
    return HTMLResponse(template.render(request=request, root=root_of(request), **context), status_code)
