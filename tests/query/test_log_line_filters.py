"""What of a line filter the word index is asked for: only what surely holds for every line that passes."""

from __future__ import annotations

import pytest

from otlp import log_record, log_request
from tocsin.model.tenant import PLATFORM
from tocsin.query.log_labels import Parameters
from tocsin.query.log_line_filters import line_filter_sql, longest_part
from tocsin.query.logql.expressions import LineFilter
from tocsin.query.logql.parser import parse_log_query
from tocsin.storage.telemetry.store import TelemetryStore

BODIES = ["Timeout after 3 s", "a DEADLOCK", "dead\u212aock is none", "deadloc\u212a found", "token expired", "idle"]


def stage(text: str) -> LineFilter:
    [found] = parse_log_query(f'{{app="shop"}} {text}').stages
    assert isinstance(found, LineFilter)
    return found


def asked(text: str) -> str:
    """The condition with its values in it."""
    parameters = Parameters()
    sql = line_filter_sql(stage(text), parameters, indexed=True)
    for name, value in parameters.values.items():
        for kind in ("String", "Array(String)"):
            sql = sql.replace(f"{{{name}:{kind}}}", repr(value))
    return sql


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('|= "timeout"', "body ILIKE '%timeout%'"),
        ('|= "deadlock"', "body ILIKE '%deadloc%'"),
        ('|= "timeout" or "deadlock"', "((body ILIKE '%timeout%') OR (body ILIKE '%deadloc%'))"),
        ('|~ "(?i)timeout|deadlock"', "((body ILIKE '%timeout%') OR (body ILIKE '%deadloc%'))"),
        ('|= " to db " or "deadlock"', "((hasAllTokens(body, ['to', 'db'])) OR (body ILIKE '%deadloc%'))"),
    ],
)
def test_each_alternative_is_looked_up_apart_from_the_exact_test(text: str, hint: str) -> None:
    found = asked(text)
    assert found.startswith(f"{hint} AND ")
    assert "ILIKE" not in found.removeprefix(hint)


@pytest.mark.parametrize("text", ['|= "timeout" or "ok"', '|~ "timeout|k8s"', '|~ "time.ut"', '!= "timeout"'])
def test_nothing_is_looked_up_where_an_alternative_cannot_be(text: str) -> None:
    assert "ILIKE" not in asked(text)


def test_parts_of_words_have_no_k() -> None:
    assert longest_part("deadlock kafka-broker") == "deadloc"
    assert longest_part("a token, ok?") == ""


@pytest.mark.parametrize(
    "text",
    [
        '|~ "(?i)timeout|deadlock"', '|= "Timeout" or "DEADLOCK"', '|~ "(?i)deadlock"', '|~ "(?i)(token|idle)"',
        '|= "timeout" or "deadlock"', '!~ "(?i)timeout|deadlock"',
    ],
)  # fmt: skip
def test_the_index_changes_no_answer(store: TelemetryStore, put: object, text: str) -> None:
    assert callable(put)
    put(log_request([log_record(body) for body in BODIES]))
    store.engine.execute("ALTER TABLE logs MATERIALIZE INDEX body_words SETTINGS mutations_sync = 2")
    found = []
    for indexed in (True, False):
        parameters = Parameters()
        sql = line_filter_sql(stage(text), parameters, indexed=indexed)
        rows = store.read(PLATFORM, f"SELECT body FROM logs WHERE {sql} ORDER BY body", **parameters.values).rows
        found.append([row[0] for row in rows])
    assert found[0] == found[1]
    assert found[0] or "timeout" in text
