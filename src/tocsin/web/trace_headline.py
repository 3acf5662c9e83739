"""The sentences about one trace: what was asked, how it ended, why, and where the time went."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.query.traces import SpanRecord, Trace
from tocsin.web import format
from tocsin.web.waterfall import error_origin, exception_of, time_by_name
from tocsin.web.words import Headline, Part, Speech, tenant_link

SHARE_WORTH_SAYING = 0.4
"""Work that took less of the time than this goes unsaid."""

_TOUCHED = {
    "row": "read rows", "predicate": "asked for rows", "write": "wrote rows", "key": "used a key",
    "queued": "queued a job", "run": "ran a job",
}  # fmt: skip
"""What the isolation monitor notes on a request, in words."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What went wrong in a trace: the exception or status, the code line if known, the span it came from."""

    title: str
    message: str
    code_line: str
    span: SpanRecord


def trace(say: Speech, found: Trace) -> Headline:
    """'POST /reports/42/export failed after 3.42 s', with tenant, user, release and size below."""
    root = found.root
    took = format.duration(found.duration_ns / 1e9)
    name = Part(_asked(root))
    if root.status == "error":
        parts: tuple[Part, ...] = (name, Part(" failed", is_harm=True), Part(f" after {took}"))
        return Headline("bad", parts, _facts(say, found))
    crossed = str(root.attributes.get("tocsin.isolation.crossing", ""))
    if crossed:
        how, _, table = crossed.partition(":")
        touched = Part(f"{_TOUCHED.get(how, 'touched rows')} of another tenant", is_harm=True)
        parts = (name, Part(" "), touched, Part(f" in {table}" if table else ""))
        return Headline("bad", parts, _facts(say, found))
    if error_origin(found) is not None:
        parts = (name, Part(f" took {took}, with "), Part("a failure inside", is_harm=True))
        return Headline("warn", parts, _facts(say, found))
    return Headline("ok", (name, Part(f" took {took}")), _facts(say, found))


def cause(found: Trace) -> Cause | None:
    """The failure nearest to its origin; None when nothing failed."""
    span = error_origin(found)
    if span is None:
        return None
    exception = exception_of(span)
    if exception is None:
        status = span.attributes.get("http.response.status_code")
        message = span.status_message or (f"answered {status}" if status else "")
        return Cause(span.name, message, "", span)
    stack = str(exception.get("exception.stacktrace", ""))
    title = str(exception.get("exception.type", "")).rpartition(".")[2] or "Exception"
    return Cause(title, str(exception.get("exception.message", "")), code_line(stack), span)


def where_time_went(found: Trace) -> str:
    """'61 % of the time went into SELECT report_items (84 calls).'; '' when nothing stands out."""
    most = next(iter(time_by_name(found)), None)
    if most is None or most.ratio < SHARE_WORTH_SAYING or most.name == found.root.name:
        return ""
    calls = f" ({format.plural(most.spans, 'call')})" if most.spans > 1 else ""
    return f"{most.ratio * 100:.0f} % of the time went into {most.name}{calls}."


def code_line(stack: str) -> str:
    """The last frame of a Python stack that is not inside an installed package: 'app/export.py:88 in export_rows'."""
    last = ""
    for line in stack.splitlines():
        text = line.strip()
        if not text.startswith('File "') or "site-packages/" in text or "/lib/python" in text:
            continue
        path, _, rest = text.removeprefix('File "').partition('", line ')
        number, _, function = rest.partition(", in ")
        last = f"{'/'.join(path.split('/')[-3:])}:{number}" + (f" in {function}" if function else "")
    return last


def _asked(root: SpanRecord) -> str:
    """Method and path as asked when known, else the span's name."""
    method, path = root.attributes.get("http.request.method"), root.attributes.get("url.path")
    return f"{method} {path}" if method and path else root.name


def _facts(say: Speech, found: Trace) -> tuple[Part, ...]:
    root = found.root
    facts = [Part(root.tenant, tenant_link(say.link, root.tenant))] if root.tenant else []
    if root.attributes.get("enduser.id"):
        facts.append(Part(f"user {root.attributes['enduser.id']}"))
    facts.append(Part(root.service, say.link(f"/services/{root.service}")))
    if root.resource.get("service.version"):
        facts.append(Part(f"release {root.resource['service.version']}"))
    if root.environment:
        facts.append(Part(root.environment))
    facts.append(Part(format.timestamp(found.start_ns, say.zone)))
    facts.append(Part(format.plural(len(found.spans), "span")))
    if found.is_partial:
        facts.append(Part("incomplete: some spans have not arrived"))
    return tuple(part for each in facts for part in (Part(" · "), each))[1:]
