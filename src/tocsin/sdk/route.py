"""The route template of a request, read from what FastAPI or Starlette has already matched; never matched again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNMATCHED = "unmatched"


def caller_of(root: Any) -> str:
    """`GET /search` of a request, which may still run; else the name of the span."""
    scope = getattr(root, "scope", None)
    if scope is not None:
        return f"{scope.get('method', 'WS')} {route_template(scope)}"
    facts = getattr(root, "facts", None)
    return f"{facts[1] or 'WS'} {root.route}" if facts else root.name


def route_template(scope: Mapping[str, Any]) -> str:
    """The full path template, with the prefixes of mounts and nested routers, or `unmatched`.

    To be called after the app has matched; a scope that nothing matched has neither route nor endpoint.
    """
    fastapi = scope.get("fastapi")
    context = fastapi.get("effective_route_context") if fastapi else None
    if context is not None and context.original_route is scope.get("route") and "app_root_path" not in scope:
        return context.path or "/"  # most requests of current FastAPI versions end here
    path = _matched_path(scope, context)
    if path is None:
        return UNMATCHED
    if "app_root_path" not in scope:
        return path or "/"
    return _mount_prefix(scope) + path or "/"


def _matched_path(scope: Mapping[str, Any], context: Any) -> str | None:
    """The template below the innermost mount. context: FastAPI's effective route context, if there is one."""
    route = scope.get("route")
    if context is not None:
        # The context outlives its router when a mounted app matched further: it must be of this very route.
        if context.original_route is route:
            return str(context.path)
        inner = context.starlette_route
        if inner is not None and route is None and getattr(inner, "endpoint", None) is scope.get("endpoint"):
            return str(inner.path)
    if route is not None and not _is_mount(route):
        path = getattr(route, "path", None)
        if isinstance(path, str):
            return path
    return _path_of_endpoint(scope)


def _path_of_endpoint(scope: Mapping[str, Any]) -> str | None:
    """FastAPI leaves only the endpoint for plain Starlette routes (its own /docs, say) and for mounts."""
    endpoint = scope.get("endpoint")
    if endpoint is None or hasattr(endpoint, "routes"):
        return None  # nothing matched, or only a mount whose app then found nothing
    route = scope.get("route")
    if (route is not None and _is_mount(route)) or not _is_function(endpoint):
        return "/{path}"  # an app such as StaticFiles, which answers every path below its mount
    path: str = scope["path"]
    root_path = scope.get("root_path", "")
    path = path[len(root_path) :] if root_path and path.startswith(root_path) else path
    return _templated(path, scope.get("path_params") or {}, ())


def _is_function(endpoint: object) -> bool:
    return hasattr(endpoint, "__code__") or isinstance(endpoint, type) or hasattr(endpoint, "func")


def _is_mount(route: object) -> bool:
    return hasattr(route, "routes") and hasattr(route, "app")


def _mount_prefix(scope: Mapping[str, Any]) -> str:
    """The mounts' part of the path, its parameters put back in place of their values."""
    prefix: str = scope["root_path"][len(scope["app_root_path"]) :]
    params = scope.get("path_params")
    if not params or not prefix:
        return prefix
    return _templated(prefix, params, getattr(scope.get("route"), "param_convertors", ()))


def _templated(path: str, params: Mapping[str, Any], excluded: Any) -> str:
    names = {str(value): f"{{{name}}}" for name, value in params.items() if name not in excluded}
    if not names:
        return path
    whole = [names.get(segment, segment) for segment in path.split("/")]
    return "/".join(whole)
