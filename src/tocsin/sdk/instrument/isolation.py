"""Tenant isolation at run time: every row and every statement is held against the tenant of its request.

Hooked where SQLAlchemy makes a result, once an execution, and where its rows are fetched; objects that the unit of work
writes are looked at before. What is declared is in `sdk/isolation.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Any, ClassVar

from tocsin.sdk.agents import current_agent
from tocsin.sdk.guard import followed, guarded
from tocsin.sdk.increases import MOST_NOTED, Increases
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._isolation_allowed import (
    NO_TENANT,
    NOT_UNDERSTOOD,
    SAMPLED,
    UNKNOWN_KEY,
    UNKNOWN_ROW,
    ask_allowed,
    has_mapping,
    is_among,
    is_canary,
    is_proof,
)
from tocsin.sdk.instrument._isolation_findings import (
    Found,
    agent_of,
    count_statement,
    report_crossing,
    report_exempt,
    report_unscoped,
)
from tocsin.sdk.instrument._isolation_plan import CheckedColumn, CheckedValue, Plan, Plans
from tocsin.sdk.instrument._isolation_rows import WatchedRows
from tocsin.sdk.isolation import configure, crossing_reason, declared, may_be_equal_kind
from tocsin.sdk.isolation_findings import EXEMPT, NOT_CHECKED, SCOPED, STATEMENTS
from tocsin.sdk.propagation import chance
from tocsin.sdk.settings import Settings
from tocsin.sdk.tenant import work_at_hand

# While the unit of work writes: whether the tenant of each object it writes is known; '' elsewhere.
_flushing: ContextVar[str] = ContextVar("tocsin_flushing", default="")


class Instrument(_contract.Instrument):
    """Rows, predicates and writes of SQLAlchemy 2.0 and 2.1."""

    modules: ClassVar[tuple[str, ...]] = ("sqlalchemy",)

    def switch_on(self, settings: Settings) -> None:
        if settings.isolation_ratio <= 0:
            raise _contract.UnsupportedError("isolation_ratio is 0")
        from sqlalchemy.engine.default import DefaultExecutionContext

        configure(settings)
        self._checker = Checker(settings.isolation_ratio, self._watch_writes)
        self.patches.wrap(DefaultExecutionContext, "_setup_result_proxy", self._watch_results)

    def _watch_results(self, original: Callable[[Any], Any]) -> Any:
        return followed(original, self._checker.check)

    def _watch_writes(self) -> None:
        """The unit of work, as soon as it is imported; named with an underscore since SQLAlchemy 2.1."""
        persistence = sys.modules.get("sqlalchemy.orm.persistence")
        if persistence is None:
            return
        for word in ("save_obj", "delete_obj"):
            name = f"_{word}" if hasattr(persistence, f"_{word}") else word
            self.patches.wrap(persistence, name, self._watch_write)

    def _watch_write(self, original: Callable[..., Any]) -> Any:
        checker = self._checker

        def write(base_mapper: Any, states: Any, uowtransaction: Any, *args: Any, **kwargs: Any) -> Any:
            if _flushing.get():
                return original(base_mapper, states, uowtransaction, *args, **kwargs)
            states = list(states)
            token = _flushing.set(checker.check_objects(states) or UNKNOWN_ROW)
            try:
                return original(base_mapper, states, uowtransaction, *args, **kwargs)
            finally:
                _flushing.reset(token)

        return write


class Checker:
    """Holds executions against the tenant of here and now."""

    def __init__(self, ratio: float, watch_writes: Callable[[], None]) -> None:
        self._ratio, self._watch_writes = ratio, watch_writes
        self._is_always = ratio >= 1.0
        self._plans = Plans()
        self._has_models = False
        self._judge = self.judge  # bound once
        # (table, column) whose rows have been seen to name tenants as requests do, with those tenants.
        self._proofs: dict[tuple[str, str], set[str]] = {}

    def check(self, context: Any, result: Any) -> None:
        """Called once an execution, with the result whose rows nobody has yet."""
        compiled = context.compiled
        plan: Plan | None = compiled.__dict__.get("_tocsin_plan") if compiled is not None else None
        if plan is None or plan.version != declared.version:
            plan = self._find_plan(context)
        if plan.is_empty:
            return
        work = work_at_hand()
        tenant: str = (work.tenant or work.find_tenant() or "") if work is not None else ""
        if plan.is_simple and tenant and self._is_always and not crossing_reason.get():
            # Nearly all statements end here: they read, and name the tenant in one parameter or in each row.
            began_ns = perf_counter_ns() if work.is_metered else 0
            allowed = declared.allowed.get((tenant, work.row_tenant))
            if allowed and _is_own(context, plan.only_name, allowed):
                agent = work.agent or current_agent()
                if agent is not None:
                    increases: Increases = agent.increases
                    noted = increases.noted
                    noted.append((STATEMENTS, plan.labels, tenant, 1))
                    if len(noted) > MOST_NOTED:
                        increases.count_noted()
                    if plan.getters and not result._soft_closed:
                        result.cursor_strategy = WatchedRows(
                            result, plan, work, tenant, allowed, self._judge, increases
                        )
                if began_ns:
                    work.note_hook("isolation", perf_counter_ns() - began_ns)
                return
        self._check_any(context, result, plan, work, tenant)

    def _check_any(self, context: Any, result: Any, plan: Plan, work: Any, tenant: str) -> None:
        reason = crossing_reason.get()
        if reason:
            count_statement(work, tenant, EXEMPT)
            report_exempt(work, tenant, reason)
        elif not tenant:
            self._leave_out(result, plan, work, "", NO_TENANT)
        elif not self._is_always and chance() >= self._ratio:
            self._leave_out(result, plan, work, tenant, SAMPLED)
        elif not plan.is_understood:
            self._leave_out(result, plan, work, tenant, NOT_UNDERSTOOD)
        else:
            allowed = ask_allowed(tenant, work.row_tenant)
            if allowed:
                self._check(context, result, Found(plan, work, tenant), allowed)
            elif allowed is not None:
                self._leave_out(result, plan, work, tenant, UNKNOWN_KEY)

    def _leave_out(self, result: Any, plan: Plan, work: Any, tenant: str, reason: str) -> None:
        """A statement that cannot be checked; canaries are found all the same."""
        count_statement(work, tenant, NOT_CHECKED, reason)
        if declared.now.canary and plan.getters and not result._soft_closed:
            result.cursor_strategy = WatchedRows(result, plan, work, tenant, frozenset(), self.judge_canaries, None)

    def _find_plan(self, context: Any) -> Plan:
        if not self._has_models and "sqlalchemy.orm.persistence" in sys.modules:
            self._has_models = True
            self._watch_writes()
        return self._plans.find(context)

    def _check(self, context: Any, result: Any, found: Found, allowed: frozenset[Any]) -> None:
        plan, work, tenant = found.plan, found.work, found.tenant
        assert plan is not None
        flushing = _flushing.get() if plan.is_write else ""
        if flushing:
            # Its objects have been looked at one by one.
            count_statement(work, tenant, *((NOT_CHECKED, flushing) if flushing == UNKNOWN_ROW else (SCOPED, "")))
        else:
            if plan.values:
                self._check_values(context, plan, found, allowed)
            if not plan.is_declared and not self._is_proven(plan):
                count_statement(work, tenant, NOT_CHECKED, UNKNOWN_KEY)
            else:
                count_statement(work, tenant, plan.result)
                if plan.loose:
                    report_unscoped(found)
        if plan.getters and not result._soft_closed:
            if plan.is_declared or self._is_proven(plan):
                agent = agent_of(work)
                increases = agent.increases if agent is not None else None
                watch = WatchedRows(result, plan, work, tenant, allowed, self._judge, increases)
            else:
                watch = WatchedRows(result, plan, work, tenant, frozenset(), self._prover(tenant, allowed), None)
            result.cursor_strategy = watch

    # -- predicates and written values

    def _check_values(self, context: Any, plan: Plan, found: Found, allowed: frozenset[Any]) -> None:
        for checked in plan.values:
            self._check_value(context, plan, checked, found, allowed)

    def _check_value(
        self, context: Any, plan: Plan, checked: CheckedValue, found: Found, allowed: frozenset[Any]
    ) -> None:
        table, column = checked.use.table, checked.use.column
        others = [value for value in _values(context, checked) if not is_among(value, allowed)]
        if not others:
            if not plan.is_declared:
                self._prove(table, column, found.tenant)
        elif self.may_judge(table, column, plan.is_declared):
            self.report(found, table, column, "write" if checked.is_write else "predicate", others, len(others))

    def report(self, found: Found, table: str, column: str, how: str, others: Sequence[Any], rows: int) -> None:
        """Values of others, unless they cannot name tenants as requests do."""
        for value in dict.fromkeys(map(_hashable, others)):
            if is_canary(value):
                report_crossing(found, table, column, how, value, rows, True)
                continue
            if not may_be_equal_kind(value, found.tenant) and not has_mapping(found.work):
                count_statement(found.work, found.tenant, NOT_CHECKED, UNKNOWN_KEY)
                return
            report_crossing(found, table, column, how, value, rows, self._plans.tables.is_declared(table))

    # -- rows

    def judge(self, watch: WatchedRows, column: CheckedColumn, seen: set[Any], rows: Sequence[Any]) -> None:
        """Takes values of rows that are not the tenant's as they stand; their type may make them so."""
        for raw in seen:
            value = _processed(watch.metadata, column.place, raw)
            if is_among(value, watch.accepted):
                watch.accepted |= {raw}
                continue
            number = sum(1 for row in rows if row[column.place] == raw)
            found = Found(watch.plan, watch.work, watch.tenant)
            self.report(found, column.table, column.column, "row", [value], number)

    def judge_canaries(self, watch: WatchedRows, column: CheckedColumn, seen: set[Any], rows: Sequence[Any]) -> None:
        """Rows of which nothing else is asked."""
        for raw in seen:
            value = _processed(watch.metadata, column.place, raw)
            if is_canary(value):
                number = sum(1 for row in rows if row[column.place] == raw)
                found = Found(watch.plan, watch.work, watch.tenant)
                report_crossing(found, column.table, column.column, "row", value, number, True)

    # -- columns that nobody has declared: rows must have named a tenant as its requests do

    def _prover(self, tenant: str, allowed: frozenset[Any]) -> Any:
        def judge(watch: WatchedRows, column: CheckedColumn, seen: set[Any], rows: Sequence[Any]) -> None:
            if declared.now.canary:
                self.judge_canaries(watch, column, seen, rows)
            if any(value is not None and is_among(value, allowed) for value in seen):
                self._prove(column.table, column.column, tenant)

        return judge

    def _prove(self, table: str, column: str, tenant: str) -> None:
        self._proofs.setdefault((table, column), set()).add(tenant)

    def may_judge(self, table: str, column: str, is_declared: bool) -> bool:
        """Whether a column is known to name tenants as requests do."""
        return is_declared or is_proof(self._proofs.get((table, column), set()))

    def _is_proven(self, plan: Plan) -> bool:
        return all(self.may_judge(use.table, use.column, False) for use in plan.scope.uses)

    # -- objects that the unit of work writes

    @guarded("")
    def check_objects(self, states: Sequence[Any]) -> str:
        """SCOPED when every object says whose it is, '' when one does not."""
        known = SCOPED
        work = work_at_hand()
        tenant = (work.find_tenant() or "") if work is not None else ""
        allowed = ask_allowed(tenant, work.row_tenant) if tenant and not crossing_reason.get() else None
        self._plans.tables.refresh()
        for state in states:
            attribute = self._plans.tables.attribute_of(state.mapper)
            if not attribute:
                continue
            values = [state.dict.get(attribute, UNKNOWN_ROW), state.committed_state.get(attribute)]
            if values[0] is UNKNOWN_ROW:
                known = ""
            elif allowed:
                self._check_object(state, attribute, values, Found(None, work, tenant), allowed)
        return known

    def _check_object(
        self, state: Any, attribute: str, values: Sequence[Any], found: Found, allowed: frozenset[Any]
    ) -> None:
        # A committed value may be a symbol that says there was none.
        plain = [value for value in values if isinstance(value, str | int | bytes) or hasattr(value, "hex")]
        others = [value for value in plain if type(value).__name__ != "LoaderCallableStatus" and value not in allowed]
        if not others:
            return
        table = str(state.mapper.local_table.name).lower()
        column = self._plans.tables.column_of_table(state.mapper.local_table) or attribute
        is_declared = self._plans.tables.is_declared(table)
        if self.may_judge(table, column, is_declared) and may_be_equal_kind(others[0], found.tenant):
            report_crossing(found, table, column, "write", others[0], 1, is_declared)


def _is_own(context: Any, name: str, allowed: frozenset[Any]) -> bool:
    """Whether the one parameter that names a tenant names this one; also when there is none."""
    if not name:
        return True
    try:
        return len(context.compiled_parameters) == 1 and context.compiled_parameters[0][name] in allowed
    except (KeyError, TypeError):
        return False


def _values(context: Any, checked: CheckedValue) -> list[Any]:
    """What this execution compares with the column, all rows of it."""
    sets = context.compiled_parameters if context.compiled is not None else context.parameters
    found: list[Any] = list(checked.texts)
    for parameters in sets or ():
        for name in checked.names or checked.ordinals:
            try:
                value = parameters[name]
            except (KeyError, IndexError, TypeError):
                value = _spread(parameters, name)
            if isinstance(value, list | tuple | set | frozenset):
                found += value
            else:
                found.append(value)
    return found


def _spread(parameters: Any, name: Any) -> list[Any]:
    """The values of an IN list, which SQLAlchemy names one by one."""
    found: list[Any] = []
    while isinstance(parameters, dict) and f"{name}_{len(found) + 1}" in parameters:
        found.append(parameters[f"{name}_{len(found) + 1}"])
    return found


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return str(value)
    return value


def _processed(metadata: Any, index: int, raw: Any) -> Any:
    """A raw value as the column's type makes it."""
    processors = getattr(metadata, "_processors", None) or ()
    process = processors[index] if index < len(processors) else None
    return process(raw) if process is not None else raw
