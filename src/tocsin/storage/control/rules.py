"""Rule files made here, switched rules, and the state of alerts between evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, select

from tocsin.model.access import Principal
from tocsin.model.control import RuleSwitch, StoredRules
from tocsin.storage.control import audit
from tocsin.storage.control.database import Database
from tocsin.storage.control.errors import NotFound, Taken
from tocsin.storage.control.schema import RuleFileRow, RuleStateRow, RuleSwitchRow


class Rules:
    """What the server knows of rules beyond their files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def files(self) -> list[StoredRules]:
        """By id."""
        with self._database.read() as session:
            return [_stored(row) for row in session.scalars(select(RuleFileRow).order_by(RuleFileRow.id))]

    def find(self, id: str) -> StoredRules | None:
        with self._database.read() as session:
            row = session.get(RuleFileRow, id)
            return None if row is None else _stored(row)

    def save(self, actor: Principal, *, id: str, text: str, over_version: int | None = None) -> StoredRules:
        """Writes a file. over_version: the version that was read before, 0 for none; None overwrites. Raises Taken."""
        now = self._database.now()
        with self._database.write() as session:
            row = session.get(RuleFileRow, id, with_for_update=True)
            found = row.version if row else 0
            if over_version is not None and over_version != found:
                raise Taken(
                    f"cannot save rules '{id}': {row.changed_by if row else 'somebody'} changed them meanwhile; "
                    "open them again and repeat your change"
                )
            if row is None:
                row = RuleFileRow(id=id, version=0, created_at=now)
                session.add(row)
            row.text, row.version, row.changed_at, row.changed_by = text, found + 1, now, actor.name
            audit.record(session, now, actor, "rules.save", id, {"version": row.version})
            session.flush()
            return _stored(row)

    def delete(self, actor: Principal, id: str) -> None:
        """Raises NotFound."""
        with self._database.write() as session:
            row = session.get(RuleFileRow, id, with_for_update=True)
            if row is None:
                raise NotFound(f"cannot delete rules '{id}': none of that id were made here; look them up in the list")
            session.delete(row)
            audit.record(session, self._database.now(), actor, "rules.delete", id)

    def switches(self) -> dict[str, RuleSwitch]:
        """By the rule's key."""
        with self._database.read() as session:
            rows = session.scalars(select(RuleSwitchRow))
            return {row.key: RuleSwitch(row.is_on, row.changed_at, row.changed_by) for row in rows}

    def switch(self, actor: Principal, key: str, name: str, is_on: bool) -> None:
        now = self._database.now()
        with self._database.write() as session:
            row = session.get(RuleSwitchRow, key, with_for_update=True)
            if row is None:
                row = RuleSwitchRow(key=key)
                session.add(row)
            row.is_on, row.changed_at, row.changed_by = is_on, now, actor.name
            audit.record(session, now, actor, "rule.switch_on" if is_on else "rule.switch_off", key, {"rule": name})

    def stamp(self) -> tuple[object, ...]:
        """Changes when a file or a switch does."""
        with self._database.read() as session:
            versions, changed = func.sum(RuleFileRow.version), func.max(RuleFileRow.changed_at)
            files = session.execute(select(func.count(), versions, changed))
            switches = session.execute(select(func.count(), func.max(RuleSwitchRow.changed_at)))
            return (*files.one(), *switches.one())

    def states(self) -> dict[str, dict[str, Any]]:
        with self._database.read() as session:
            return {row.key: row.state for row in session.scalars(select(RuleStateRow))}

    def keep_states(self, states: Mapping[str, dict[str, Any] | None]) -> None:
        """Writes those given, None forgets one; not audited, nobody did it."""
        now = self._database.now()
        with self._database.write() as session:
            for key, state in states.items():
                row = session.get(RuleStateRow, key)
                if state is None:
                    session.execute(delete(RuleStateRow).where(RuleStateRow.key == key))
                elif row is None:
                    session.add(RuleStateRow(key=key, state=state, changed_at=now))
                else:
                    row.state, row.changed_at = state, now


def _stored(row: RuleFileRow) -> StoredRules:
    return StoredRules(row.id, row.text, row.version, row.changed_at, row.changed_by)
