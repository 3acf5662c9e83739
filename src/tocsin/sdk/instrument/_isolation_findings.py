"""What the monitor has found, said once: crossings, statements that nothing holds, and work that may cross."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace

from tocsin.sdk.agents import current_agent
from tocsin.sdk.caller import own_line
from tocsin.sdk.calls import current_span
from tocsin.sdk.exposition import labels_of
from tocsin.sdk.instrument._isolation_allowed import is_canary
from tocsin.sdk.instrument._isolation_plan import Plan
from tocsin.sdk.isolation import declared
from tocsin.sdk.isolation_findings import CROSSINGS, STATEMENTS, SUSPICIONS, Finding, findings
from tocsin.sdk.records import FATAL, INFO, WARN
from tocsin.sdk.route import route_template

if TYPE_CHECKING:
    from tocsin.sdk.agent import Agent

CROSSING = "tocsin.isolation.crossing"
CONCERN = "tocsin.isolation.concern"
UNSCOPED_STATEMENT = "tocsin.isolation.unscoped"
EXEMPTION = "tocsin.isolation.exempt"

# Seconds between two events of the same finding.
_CROSSING_PAUSE, _UNSCOPED_PAUSE, _EXEMPT_PAUSE = 15.0, 3600.0, 60.0


class Found(NamedTuple):
    """Where something is found: the statement's plan (None for objects being written), the request, its tenant.

    text: what stands for the statement where there is none, such as a command with the kind of its key.
    """

    plan: Plan | None
    work: Any
    tenant: str
    text: str = ""


def agent_of(work: Any) -> Agent | None:
    """Who counts this work."""
    return (work.agent if work is not None else None) or current_agent()


def count_statement(work: Any, tenant: str, result: str, reason: str = "") -> None:
    """reason: why it was not checked."""
    count_checked(STATEMENTS, work, tenant, result, reason)


def count_checked(name: str, work: Any, tenant: str, result: str, reason: str = "") -> None:
    agent = agent_of(work)
    if agent is not None:
        agent.increases.count(name, labels_of({"result": result, "reason": reason}), tenant)


def report_crossing(found: Found, table: str, column: str, how: str, value: Any, rows: int, is_declared: bool) -> None:
    """A row or key of another tenant was touched. how: row, predicate (asked for), write, key, queued or run."""
    agent = agent_of(found.work)
    if agent is None:
        return
    owner = declared.name_of(value)
    name = CROSSINGS if is_declared else SUSPICIONS
    agent.increases.count(name, labels_of({"table": table, "role": "reader"}), found.tenant)
    agent.increases.count(name, labels_of({"table": table, "role": "owner"}), owner)
    _mark(found.tenant, table, how)
    statement, digest = _statement(found, table)
    key = (CROSSING, digest, table, how, found.tenant, owner)
    if not findings.is_due(key, rows):
        # Each of the three events keeps its own count.
        findings.is_due((key, "reader"), rows)
        findings.is_due((key, "owner"), rows)
        return
    shared = {
        "tocsin.isolation.how": how,
        "tocsin.isolation.column": column,
        "tocsin.isolation.cause": _cause(found.plan, table, column, how) + _told_of(owner, value) + _doubt(found.work),
        "tocsin.isolation.is_declared": is_declared,
        "db.collection.name": table,
        "db.query.text": statement,
        "tocsin.db.fingerprint": digest,
        **_line(),
        **_request(found.work),
    }
    severity = FATAL if is_declared else WARN
    pair = {"tocsin.isolation.tenant": found.tenant, "tocsin.isolation.row_tenant": owner}
    body = _body(found.tenant, owner, table, how, is_declared)
    ids = _ids()
    # The pair is for staff alone: what each of the two tenants may read names nobody else.
    findings.send(agent, key, Finding(CROSSING, body, severity, {**shared, **pair}, "", *ids), _CROSSING_PAUSE, rows)
    for role, whose, text in (
        ("reader", found.tenant, f"{_VERBS[how]} of another tenant in {table}"),
        ("owner", owner, f"{_PASSIVES[how].format(table)} in another tenant's request"),
    ):
        if not whose:
            continue  # work without a tenant
        concern = Finding(
            CONCERN, text, severity, {**shared, "tocsin.isolation.role": role}, whose,
            *(ids if role == "reader" else (b"", b"")),
        )  # fmt: skip
        findings.send(agent, (key, role), concern, _CROSSING_PAUSE, rows)


def report_unscoped(found: Found) -> None:
    """A statement on tables of tenants that no condition holds to one, and whose rows do not say whose they are."""
    agent = agent_of(found.work)
    plan = found.plan
    if agent is None or plan is None:
        return
    request = _request(found.work)
    statement, digest = _statement(found, plan.loose[0])
    key = (UNSCOPED_STATEMENT, digest, request.get("http.route", ""))
    if not findings.is_due(key):
        return
    tables = ", ".join(plan.loose)
    attributes = {
        "db.collection.name": plan.loose[0],
        "tocsin.isolation.tables": tables,
        "db.operation.name": plan.scope.verb,
        "db.query.text": statement,
        "tocsin.db.fingerprint": digest,
        **_line(),
        **request,
    }
    body = f"nothing holds {plan.scope.verb} on {tables} to a tenant"
    findings.send(agent, key, Finding(UNSCOPED_STATEMENT, body, WARN, attributes, "", *_ids()), _UNSCOPED_PAUSE)


def report_exempt(work: Any, tenant: str, reason: str) -> None:
    """A statement within `cross_tenant`."""
    agent = agent_of(work)
    if agent is None:
        return
    request = _request(work)
    key = (EXEMPTION, reason, request.get("http.route", ""), tenant)
    if not findings.is_due(key):
        return
    attributes = {"tocsin.isolation.reason": reason, **_line(), **request}
    body = f"work across tenants: {reason}"
    findings.send(agent, key, Finding(EXEMPTION, body, INFO, attributes, tenant, *_ids()), _EXEMPT_PAUSE)


_VERBS = {
    "row": "read rows",
    "predicate": "asked for rows",
    "write": "wrote rows",
    "key": "used a key",
    "queued": "queued a job",
    "run": "ran a job",
}
_PASSIVES = {
    "row": "rows in {} were read",
    "predicate": "rows in {} were asked for",
    "write": "rows in {} were written",
    "key": "key {} was used",
    "queued": "job {} was queued",
    "run": "job {} was run",
}


def _body(tenant: str, owner: str, table: str, how: str, is_declared: bool) -> str:
    doubt = "" if is_declared else ", if what is called so is the tenant"
    where = f"in a {'job' if how == 'run' else 'request'} of {tenant}" if tenant else "in work without a tenant"
    return f"{owner}'s {_PASSIVES[how].format(table)} {where}{doubt}"


def _cause(plan: Plan | None, table: str, column: str, how: str) -> str:
    """Why it could happen, as far as the statement tells."""
    if how == "predicate":
        return f"the statement asks for another tenant's {column}"
    if how == "write":
        return f"another tenant's {column} is written, or the row that is written belongs to another tenant"
    if how == "key":
        return f"the key names another tenant where {column} has it"
    if how in ("queued", "run"):
        return f"the job's argument {column} names another tenant"
    uses = [use for use in plan.scope.uses if use.table == table] if plan is not None else []
    if not uses or any(not use.is_held for use in uses):
        return f"no condition on {table}.{column} in the statement"
    return f"the statement's conditions let rows with another {column} through"


def _told_of(owner: str, value: Any) -> str:
    return f"; {owner} is a canary, which no customer is" if is_canary(value) else ""


def _doubt(work: Any) -> str:
    """A client that claims another tenant may have mixed up the telemetry alone."""
    is_claimed = getattr(work, "is_request", False) and not work.has_tenant
    if is_claimed and not all(resolver.is_trusted for resolver in work.agent.resolvers):
        return "; the request's tenant is what the client claims: call set_tenant after authentication"
    return ""


def _statement(found: Found, table: str) -> tuple[str, str]:
    if found.plan is not None:
        said = found.plan.fingerprint()
        return said.text, said.digest
    text = found.text or f"(objects of {table} written by the unit of work)"
    return text, hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


def _line() -> dict[str, Any]:
    """The line of the app that asked."""
    line = own_line()
    return line.attributes() if line is not None else {}


def _request(work: Any) -> dict[str, Any]:
    """Method and route of the request, for those that have been routed."""
    scope = getattr(work, "scope", None)
    if scope is not None:
        return {"http.request.method": scope.get("method", ""), "http.route": route_template(scope)}
    key = getattr(work, "key", None)
    return {"http.request.method": key[0], "http.route": key[1]} if key and key[1] else {}


def _mark(tenant: str, table: str, how: str) -> None:
    """The trace is kept whatever is sampled, and its root says why."""
    span = current_span()
    if span is not None:
        root = span.root
        root.wanted = "isolation"
        root.set_attribute("tocsin.isolation.crossing", f"{how}:{table}")


def _ids() -> tuple[bytes, bytes]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        return context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
    span = current_span()
    if span is None:
        return b"", b""
    span.identify()
    return span.trace_id, span.span_id
