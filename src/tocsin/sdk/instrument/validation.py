"""Which fields clients get wrong: validation errors by endpoint, field, kind and tenant, without a single value.

Nothing is looked at until FastAPI makes a RequestValidationError, whoever then answers it, or Starlette looks for the
handler of an exception: pydantic's own ValidationError, or an HTTPException with FastAPI's list of details.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tocsin.sdk.digest import WEBSOCKET
from tocsin.sdk.exposition import labels_of
from tocsin.sdk.guard import guarded_hook
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._declared import field_of, of_model, of_request
from tocsin.sdk.red import OTHER
from tocsin.sdk.route import route_template
from tocsin.sdk.settings import Settings
from tocsin.sdk.sums import describe
from tocsin.sdk.tenant import work_at_hand

ERRORS = "http_validation_errors_total"
describe(ERRORS, "Fields of requests that failed validation, by endpoint, field, kind and tenant.")
# Distinct endpoint × field × kind; beyond, the field becomes `other`.
_FIELDS = 400
# Of one request: a list of a thousand wrong items says nothing more.
_OF_ONE_REQUEST = 50
_CLIENT_ERRORS = frozenset({400, 422})
# A kind is a word of pydantic or of the app's code; everything else is taken for input.
_KIND = re.compile(r"[a-z][a-z0-9_.\-]{0,79}")


class Instrument(_contract.Instrument):
    """Validation errors, counted where they are made or answered."""

    modules = ("fastapi.exceptions", "starlette._exception_handler")

    def switch_on(self, settings: Settings) -> None:
        from fastapi import exceptions
        from starlette import _exception_handler

        self._fields: set[tuple[str, str, str, str]] = set()
        for name in ("RequestValidationError", "WebSocketRequestValidationError"):
            if (kind := getattr(exceptions, name, None)) is not None:
                self.patches.wrap(kind, "__init__", self._watch_made)
        self.patches.wrap(_exception_handler, "_lookup_exception_handler", self._watch_answered)

    def _watch_made(self, original: Callable[..., None]) -> Callable[..., None]:
        note = self._note_made

        def __init__(self: Any, *args: Any, **options: Any) -> None:
            original(self, *args, **options)
            note(self)

        return __init__

    def _watch_answered(self, original: Callable[..., Any]) -> Callable[..., Any]:
        note = self._note_answered

        def _lookup_exception_handler(handlers: Any, error: Exception) -> Any:
            handler = original(handlers, error)
            if handler is not None:
                note(error)
            return handler

        return _lookup_exception_handler

    @guarded_hook
    def _note_made(self, error: Any) -> None:
        self._count(error.errors(), "")

    @guarded_hook
    def _note_answered(self, error: Any) -> None:
        if type(error).__name__ == "ValidationError" and hasattr(error, "error_count"):
            found = error.errors(include_url=False, include_context=False, include_input=False)
            self._count(found, str(error.title))
        elif getattr(error, "status_code", 0) in _CLIENT_ERRORS and isinstance(getattr(error, "detail", None), list):
            self._count(error.detail, "")

    def _count(self, errors: Iterable[Any], model: str) -> None:
        """Once a request: what an app makes of an error it has caught is the same error."""
        request = work_at_hand()
        if request is None or not request.is_request or request.scope is None or hasattr(request, "has_invalid_input"):
            return
        found = _found(errors, request.scope, model)
        if not found:
            return
        request.has_invalid_input = True
        scope = request.scope
        where = (route_template(scope), str(scope.get("method", WEBSOCKET)))
        tenant = request.find_tenant() or ""
        for field, kind in found:
            route, method, field, kind = self._bounded((*where, field, kind))
            labels = labels_of({"route": route, "method": method, "field": field, "type": kind})
            request.agent.increases.count(ERRORS, labels, tenant)

    def _bounded(self, key: tuple[str, str, str, str]) -> tuple[str, str, str, str]:
        if key not in self._fields and len(self._fields) >= _FIELDS:
            return (*key[:2], OTHER, OTHER)
        self._fields.add(key)
        return key


def _found(errors: Iterable[Any], scope: Mapping[str, Any], model: str) -> set[tuple[str, str]]:
    """(field, kind) of each error that looks like one of FastAPI's or pydantic's."""
    fields, labels = of_model(model) if model else of_request(scope)
    found = set()
    for error, _ in zip(errors, range(_OF_ONE_REQUEST), strict=False):
        if not isinstance(error, Mapping) or not isinstance(error.get("loc"), (list, tuple)):
            continue
        kind = str(error.get("type", ""))
        loc = (error["loc"][0],) if kind == "json_invalid" and error["loc"] else error["loc"]
        field = field_of(loc, fields, labels)
        field = f"{model}.{field}".rstrip(".") if model else field
        found.add((field or "*", kind if _KIND.fullmatch(kind) else OTHER))
    return found
