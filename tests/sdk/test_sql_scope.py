"""What holds a statement to one tenant: read off its text, and never claimed when it is not sure."""

from __future__ import annotations

import pytest

from tocsin.sdk.sql_scope import StatementScope, read_scope
from tocsin.sdk.sql_tree import Parameter

TENANTED = {"reports": "org_id", "projects": "org_id", "memberships": "org_id"}


def read(statement: str) -> StatementScope:
    return read_scope(statement, lambda table, _alias: TENANTED.get(table, ""))


def held(statement: str) -> dict[str, bool]:
    return {use.table: use.is_held for use in read(statement).uses}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM reports WHERE reports.org_id = ? AND x = ?",
        "SELECT id FROM reports AS r WHERE %(o)s = r.org_id",
        'SELECT id FROM public."reports" WHERE org_id = $1::VARCHAR',
        "SELECT id FROM reports WHERE org_id = CAST(:o AS UUID) AND id BETWEEN 1 AND 9",
        "SELECT id FROM reports WHERE org_id IN (?, ?) ORDER BY id LIMIT ? FOR UPDATE",
        "SELECT id FROM reports WHERE org_id IN (__[POSTCOMPILE_org_id_1])",
        "SELECT id FROM reports WHERE org_id = ANY (%s)",
        "SELECT id FROM reports WHERE (org_id = ? OR org_id IS NULL) AND title = ?",
        "SELECT id FROM reports WHERE org_id IS NOT DISTINCT FROM ?",
        "SELECT id FROM reports WHERE org_id = current_setting('app.tenant')::uuid",
        "SELECT r.id FROM reports r JOIN projects p ON p.id = r.project_id WHERE p.org_id = ?",
        "SELECT r.id FROM reports r, projects p WHERE p.id = r.project_id AND p.org_id = ?",
        "SELECT r.id FROM projects p LEFT JOIN reports r ON p.id = r.project_id WHERE p.org_id = ?",
        "SELECT id FROM reports r WHERE EXISTS (SELECT 1 FROM projects p WHERE p.id = r.project_id AND p.org_id = ?)",
        "SELECT id FROM reports r WHERE r.project_id IN (SELECT id FROM projects WHERE org_id = ?)",
        "WITH p AS (SELECT id FROM projects WHERE org_id = ?) SELECT r.id FROM reports r JOIN p ON p.id = r.project_id",
        "SELECT (SELECT count(*) FROM reports r WHERE r.project_id = p.id) FROM projects p WHERE p.org_id = ?",
        "SELECT a.id, r.org_id FROM (SELECT projects.id FROM projects WHERE org_id = ? LIMIT 5) AS a "
        "LEFT OUTER JOIN reports AS r ON a.id = r.project_id",
        "SELECT x FROM users JOIN (reports r JOIN projects p ON p.id = r.project_id) ON users.id = r.u "
        "WHERE p.org_id = ?",
        "(SELECT id FROM reports WHERE org_id = ?) UNION ALL (SELECT id FROM projects WHERE org_id = ?)",
        "UPDATE reports SET title = ? WHERE org_id = ?",
        "DELETE FROM reports USING projects p WHERE p.id = reports.project_id AND p.org_id = ?",
        "INSERT INTO reports (id, org_id) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET title = excluded.title",
    ],
)
def test_a_condition_that_surely_holds_is_seen(statement: str) -> None:
    found = held(statement)
    assert found
    assert all(found.values()), found


@pytest.mark.parametrize(
    ("statement", "loose"),
    [
        ("SELECT * FROM reports", "reports"),
        ("SELECT * FROM reports WHERE id = ?", "reports"),
        ("SELECT * FROM reports WHERE org_id = ? OR 1 = 1", "reports"),
        ("SELECT * FROM reports WHERE NOT (org_id = ?)", "reports"),
        ("SELECT * FROM reports WHERE org_id != ?", "reports"),
        ("SELECT * FROM reports WHERE org_id LIKE ?", "reports"),
        ("SELECT CASE WHEN org_id = ? THEN 1 END FROM reports", "reports"),
        ("SELECT * FROM reports r, projects p WHERE p.org_id = ?", "reports"),
        # An outer join keeps the rows of its other side whatever its condition says.
        ("SELECT * FROM reports r LEFT JOIN projects p ON p.id = r.project_id AND p.org_id = ?", "reports"),
        ("SELECT * FROM projects p RIGHT JOIN reports r ON p.id = r.project_id WHERE p.org_id = ? OR 1 = 1", "reports"),
        ("SELECT * FROM projects p FULL JOIN reports r ON p.org_id = ? AND r.org_id = ?", "reports"),
        ("SELECT * FROM reports r WHERE NOT EXISTS (SELECT 1 FROM projects p WHERE p.id = r.p AND p.org_id = ?)",
         "reports"),
        ("SELECT * FROM reports WHERE project_id IN (SELECT id FROM projects)", "reports"),
        ("SELECT id FROM projects WHERE org_id = ? UNION SELECT id FROM reports", "reports"),
        # Users are everybody's: what hangs on them may be another tenant's.
        ("SELECT * FROM memberships m JOIN users u ON u.id = m.user_id JOIN reports r ON r.owner_id = u.id "
         "WHERE m.org_id = ?", "reports"),
        ("UPDATE reports SET org_id = ? WHERE id = ?", "reports"),
        ("DELETE FROM reports WHERE id = ?", "reports"),
    ],
)  # fmt: skip
def test_what_nothing_holds_is_said(statement: str, loose: str) -> None:
    assert held(statement)[loose] is False


def test_the_compared_values_are_named_by_their_place() -> None:
    found = read("SELECT id FROM reports r WHERE x = ? AND r.org_id IN (?, 'globex') AND y = ?")
    assert found.comparisons[0].values == (Parameter("", 1), "globex")
    numbered = read("SELECT id FROM reports WHERE org_id = $2 AND x = $1")
    assert numbered.comparisons[0].values == (Parameter("", 1, is_numbered=True),)


def test_every_row_of_an_insert_is_a_value_written() -> None:
    found = read("INSERT INTO reports (id, org_id, title) VALUES (?, ?, ?), (?, ?, ?) RETURNING id")
    assert found.verb == "INSERT"
    assert [(c.values, c.is_write) for c in found.comparisons] == [((Parameter("", 1), Parameter("", 4)), True)]


def test_an_update_that_moves_a_row_writes_its_tenant() -> None:
    found = read("UPDATE reports SET title = ?, org_id = ? WHERE org_id = ?")
    assert sorted((c.values, c.is_write) for c in found.comparisons) == [
        ((Parameter("", 1),), True),
        ((Parameter("", 2),), False),
    ]


def test_what_must_not_be_equal_asks_for_nobodys_rows() -> None:
    assert read("SELECT id FROM reports WHERE NOT (org_id = 'globex')").comparisons == ()


@pytest.mark.parametrize("statement", ["SELECT (((", "SELECT )", "SELECT 1 " + "x" * 50_000, "(" * 99 + ")" * 99])
def test_a_statement_that_cannot_be_read_is_a_gap_and_no_error(statement: str) -> None:
    assert not read(statement).is_understood
