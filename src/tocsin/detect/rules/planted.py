"""Events and spans that a unit test of rules writes down: `input_events` and `input_spans`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from tocsin.detect.rules.over_rows import Row
from tocsin.model.rows import COLUMNS, EVENTS, TRACES
from tocsin.query.promql.literals import parse_duration_ms

INPUTS = {"input_events": EVENTS, "input_spans": TRACES}
OF_ALL = ("name", "attributes", "at")
OF_SPANS = ("duration", "is_error")
EXAMPLE = "write such as {name: deployment, service: shop, attributes: {kind: canary}, at: 10s 70s}"


class UnitTestError(Exception):
    """A test file cannot be run; the message says why and what to do."""


def planted_rows(test: Mapping[str, Any], test_name: str) -> list[Row]:
    """Raises UnitTestError."""
    found: list[Row] = []
    for key, table in INPUTS.items():
        for said in test.get(key) or []:
            try:
                found += _rows(said, table)
            except (KeyError, TypeError, ValueError) as error:
                raise UnitTestError(f"cannot read {key} of {test_name}: {error}; {EXAMPLE}") from error
    return found


def _rows(said: Any, table: str) -> list[Row]:
    """One for each time of `at`: when an event happened, and when a span ended."""
    if not isinstance(said, dict):
        raise TypeError("expected a mapping")
    known = [*OF_ALL, *(OF_SPANS if table == TRACES else ()), *(key for key in COLUMNS[table] if "." not in key)]
    for key in said:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            raise ValueError(f"there is no field '{key}'; did you mean '{near[0] if near else 'attributes'}'?")
    columns = {key: one for key, one in said.items() if key in COLUMNS[table]}
    attributes = {COLUMNS[table].get(str(key), str(key)): one for key, one in (said.get("attributes") or {}).items()}
    texts = {key: _text(one) for key, one in {**attributes, **columns}.items()}
    seconds = parse_duration_ms(str(said.get("duration", "0s"))) / 1000
    times = [parse_duration_ms(one) for one in str(said["at"]).split()]
    is_error = said.get("is_error") is True or int(texts.get("status_code") or 0) >= 500
    return [Row(table, at_ms, texts, seconds, is_error) for at_ms in times]


def _text(value: Any) -> str:
    """As the store keeps it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
