"""Statements without their literals: equal ones are equal, and no value survives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.sdk.sql import fingerprint


@pytest.mark.parametrize(
    ("statement", "operation", "table"),
    [
        ("SELECT a.id FROM a JOIN b ON a.id = b.a_id WHERE a.x = 5", "SELECT", "a"),
        ('SELECT * FROM "public"."users" WHERE id = $1::INTEGER', "SELECT", "public.users"),
        ("insert into orders (a) values (%(a)s) returning id", "INSERT", "orders"),
        ("UPDATE users SET name = :name", "UPDATE", "users"),
        ("DELETE FROM ONLY users", "DELETE", "users"),
        ("WITH gone AS (SELECT id FROM old) DELETE FROM users", "DELETE", "users"),
        ("SELECT (SELECT count(*) FROM b), extract(year FROM c) FROM a", "SELECT", "a"),
        ("SELECT count(*) FROM (SELECT id FROM reports) AS r", "SELECT", "reports"),
        ("PRAGMA journal_mode", "PRAGMA", ""),
        ("-- a comment\n SELECT 1", "SELECT", ""),
        ("", "", ""),
    ],
)
def test_verb_and_table_are_read_off_the_statement(statement: str, operation: str, table: str) -> None:
    found = fingerprint(statement)
    assert (found.operation, found.table) == (operation, table)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM t WHERE id IN (1, 2, 3)", "SELECT a FROM t WHERE id IN (4)"),
        ("SELECT a FROM t WHERE id IN ($1::INTEGER, $2::INTEGER)", "SELECT a FROM t  WHERE id IN ($1::INTEGER)"),
        ("INSERT INTO t (a, b) VALUES (?, ?), (?, ?)", "INSERT INTO t (a, b) VALUES (?, ?)"),
        ("SELECT a FROM t WHERE b = 'it''s'", "SELECT a FROM t WHERE b = 'x' /* who */"),
        ("SELECT a FROM t WHERE b = 1.5e3", "SELECT a FROM t WHERE b = 0xff"),
        ("SELECT a FROM t WHERE id IN (__[POSTCOMPILE_id_1])", "SELECT a FROM t WHERE id IN (7)"),
    ],
)
def test_statements_that_differ_in_values_only_are_equal(one: str, other: str) -> None:
    assert fingerprint(one).text == fingerprint(other).text
    assert fingerprint(one).digest != fingerprint(one.replace("FROM t", "FROM u").replace("INTO t", "INTO u")).digest


def test_names_with_digits_stay() -> None:
    assert fingerprint("SELECT t1.c2 FROM t1 WHERE t1.c2 = 12").text == "SELECT t1.c2 FROM t1 WHERE t1.c2 = ?"


@given(st.text(st.sampled_from("secret'\\\"$ \n;-/*%:")))
def test_a_quoted_value_never_survives(value: str) -> None:
    marked = "zzsecretzz" + value
    quoted = marked.replace("'", "''")
    assert "zzsecretzz" not in fingerprint(f"SELECT a FROM t WHERE b = '{quoted}' AND c = 1").text
    escaped = marked.replace("\\", "\\\\").replace("'", "\\'")
    assert "zzsecretzz" not in fingerprint(f"SELECT a FROM t WHERE b = '{escaped}'", mysql=True).text
    doubled = marked.replace("\\", "\\\\").replace('"', '\\"')
    assert "zzsecretzz" not in fingerprint(f'SELECT a FROM t WHERE b = "{doubled}"', mysql=True).text


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    assert len(fingerprint(text).text) <= 2048
