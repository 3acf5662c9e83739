"""Which names of a validation error's place the app has declared; everything else in it came from the client.

The place (`loc`) of an error names fields, but keys of dictionaries and unknown fields, too, and those are input. Only
what stands in the schemas of the endpoint's parameters leaves the process.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

# Where FastAPI looks for values.
PARTS = frozenset({"body", "query", "path", "header", "cookie"})
_UNKNOWN = "*"
_DEPTH = 60
_NODES = 50_000
_ROUTES = 2000

Names = frozenset[str]
_NO_NAMES: tuple[Names, Names] = (frozenset(), frozenset())
_of_routes: dict[int, tuple[weakref.ref[Any], tuple[Names, Names]]] = {}


def field_of(loc: Sequence[Any], fields: Names, labels: Names) -> str:
    """A place as one word: `body.items[].price`. List indexes are left out and undeclared names are `*`.

    labels: what pydantic adds to the place for the branches of a union.
    """
    parts: list[str] = []
    for place, step in enumerate(loc):
        if isinstance(step, int):
            if len(parts) > 1 and not parts[-1].endswith("[]"):
                parts[-1] += "[]"
        elif (place == 0 and step in PARTS) or step in fields:
            parts.append(str(step))
        elif step not in labels and not str(step).endswith(("]", ")")):
            parts.append(_UNKNOWN)
    return ".".join(parts)


def of_request(scope: Mapping[str, Any]) -> tuple[Names, Names]:
    """The fields and union labels of all parameters of the FastAPI route that a request has matched."""
    route = scope.get("route")
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    # The context also knows the dependencies of the routers around the route.
    if context is not None and getattr(context, "original_route", None) is route:
        route = context
    if getattr(route, "dependant", None) is None:
        return _NO_NAMES
    # Routes have no hash; the reference says whether the id is still that of the same route.
    known = _of_routes.get(id(route))
    if known is None or known[0]() is not route:
        if len(_of_routes) >= _ROUTES:
            _of_routes.clear()
        known = _of_routes[id(route)] = (weakref.ref(route), _of_route(route))
    return known[1]


def _of_route(route: Any) -> tuple[Names, Names]:
    fields: set[str] = set()
    labels: set[str] = set()
    parameters = list(_parameters(route.dependant))
    if (body := getattr(route, "body_field", None)) is not None:
        parameters.append(body)
    for parameter in parameters:
        fields.update((parameter.name, parameter.alias, parameter.name.replace("_", "-")))
        fields.update(_texts(getattr(parameter, "validation_alias", None)))
        adapter = getattr(parameter, "_type_adapter", None)
        if adapter is not None:
            _collect(adapter.core_schema, fields, labels)
    return frozenset(fields), frozenset(labels)


@functools.lru_cache(maxsize=1024)
def of_model(title: str) -> tuple[Names, Names]:
    """The same for the pydantic models of that title, whose errors name no endpoint."""
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    fields: set[str] = set()
    labels: set[str] = set()
    for model in _subclasses(base) if base is not None else ():
        if model.__name__ == title or (model.model_config or {}).get("title") == title:
            _collect(model.__dict__.get("__pydantic_core_schema__"), fields, labels)
    return frozenset(fields), frozenset(labels)


def _parameters(dependant: Any) -> Iterator[Any]:
    if dependant is None:
        return
    for kind in ("path_params", "query_params", "header_params", "cookie_params", "body_params"):
        yield from getattr(dependant, kind, ())
    for inner in getattr(dependant, "dependencies", ()):
        yield from _parameters(inner)


def _subclasses(model: Any) -> Iterator[Any]:
    for inner in model.__subclasses__():
        yield inner
        yield from _subclasses(inner)


def _collect(schema: Any, fields: set[str], labels: set[str]) -> None:
    """Walks pydantic's core schema, which is made of dictionaries, lists and tuples."""
    nodes = _NODES
    waiting: list[tuple[Any, int]] = [(schema, 0)]
    while waiting and nodes:
        nodes -= 1
        node, depth = waiting.pop()
        if isinstance(node, dict) and depth < _DEPTH:
            _names_of(node, fields, labels)
            waiting.extend((value, depth + 1) for key, value in node.items() if key not in ("metadata", "ref"))
        elif isinstance(node, (list, tuple)) and depth < _DEPTH:
            waiting.extend((value, depth + 1) for value in node)


def _names_of(node: dict[Any, Any], fields: set[str], labels: set[str]) -> None:
    kind = node.get("type")
    if isinstance(kind, str):
        labels.add(kind)
    inner = node.get("fields")
    if isinstance(inner, dict):
        fields.update(name for name in inner if isinstance(name, str))
    elif isinstance(inner, list):
        fields.update(field["name"] for field in inner if isinstance(field, dict) and "name" in field)
    fields.update(_texts(node.get("validation_alias")))
    if isinstance(kind, str) and kind.endswith("-field") and isinstance(node.get("name"), str):
        fields.add(node["name"])
    cls = node.get("cls")
    if isinstance(cls, type):
        labels.add(cls.__name__)
    if kind == "tagged-union" and isinstance(node.get("choices"), dict):
        labels.update(str(tag) for tag in node["choices"])


def _texts(alias: Any) -> Iterable[str]:
    """The words of an alias: a text, a path, or several of either."""
    if isinstance(alias, str):
        return [alias]
    if isinstance(alias, (list, tuple)):
        return [word for each in alias for word in _texts(each)]
    return ()
