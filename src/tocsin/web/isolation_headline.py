"""The sentence that opens the isolation page: whose rows were seen in whose requests, or how much was looked at."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.query.isolation import Coverage, Crossing
from tocsin.web import format
from tocsin.web.words import Headline, Part, Speech, endpoint_link, endpoint_name, row, tenant_link, trace_link

REASONS = {
    "no_tenant": "the work had no tenant",
    "unknown_key": "how rows name a tenant is unknown",
    "not_understood": "the statement could not be read",
    "sampled": "left out by sampling",
    "unknown_row": "an object's tenant was not loaded",
}
"""Why statements were not checked, in words."""

_DID = {
    "row": "were read", "predicate": "were asked for", "write": "were written", "key": "were used",
    "queued": "were queued", "run": "were run",
}  # fmt: skip
_WHAT = {"key": "keys", "queued": "jobs", "run": "jobs"}
_FULL_RATIO = 0.9995


def isolation(
    say: Speech, crossings: Sequence[Crossing], total: Coverage, tenants: int, loose: int, is_platform: bool
) -> Headline:
    """`total` is all coverage the reader may see, of so many `tenants`; `loose` counts statements nothing holds."""
    sure = [each for each in crossings if each.is_declared]
    if sure:
        return Headline("bad", _who(say, sure, is_platform), _next(say, sure))
    if crossings:
        parts = (Part("It looks as if ", is_harm=False), *_who(say, crossings, is_platform, is_sure=False))
        how = Part(" Declare the columns that name tenants, and this is certain: see tocsin.isolation().")
        return Headline("warn", parts, (*_next(say, crossings), how))
    if not total.total:
        return _nothing(say)
    if not total.checked:
        return _unchecked(say, total)
    where = f" of {format.plural(tenants, 'tenant')}" if is_platform and tenants else ""
    looked = (
        f"in {format.plural(total.rows, 'row')}" if total.rows else f"in {format.plural(total.checked, 'statement')}"
    )
    parts = (Part(f"No row of another tenant was seen {looked}{where}; {_share(total)} checked."),)
    return Headline("ok", parts, _gaps(total, loose))


def _who(say: Speech, found: Sequence[Crossing], is_platform: bool, is_sure: bool = True) -> tuple[Part, ...]:
    """globex's rows were read in acme's requests: GET /x at file:line, since 19:20."""
    worst = max(found, key=lambda each: (each.last_ns, each.count))
    same = [each for each in found if (each.table, each.fingerprint, each.how) == _what(worst)]
    did = _DID.get(worst.how, "were touched")
    parts = (*_owners(say, same, is_platform), Part(f" {did} in "), *_readers(say, same, is_platform))
    since = say.clock(min(each.first_ns for each in same))
    place: tuple[Part, ...] = ()
    if worst.route:
        link = endpoint_link(say.link, worst.service, worst.method, worst.route)
        place = (Part(": "), Part(endpoint_name(worst.method, worst.route), link, True))
    line = f" at {worst.where}" if worst.where else ""
    return (*parts, *place, Part(f"{line}, since {since}."))


def _what(each: Crossing) -> tuple[str, str, str]:
    return each.table, each.fingerprint, each.how


def _owners(say: Speech, same: Sequence[Crossing], is_platform: bool) -> tuple[Part, ...]:
    what = _WHAT.get(same[0].how, "rows")
    if not is_platform:
        own = next((each.row_tenant for each in same if each.role == "owner"), "")
        return (Part(f"{own}'s {what}" if own else f"{what.capitalize()} of another tenant", is_harm=True),)
    names = sorted({each.row_tenant for each in same})
    if len(names) > 2:
        return (Part(f"{what.capitalize()} of {format.count_word(len(names))} tenants", is_harm=True),)
    linked = [Part(f"{name}'s", tenant_link(say.link, name), True) for name in names]
    return (*row(linked, " and "), Part(f" {what}"))


def _readers(say: Speech, same: Sequence[Crossing], is_platform: bool) -> tuple[Part, ...]:
    if not is_platform:
        own = next((each.tenant for each in same if each.role == "reader"), "")
        return (Part(f"{own}'s requests" if own else "another tenant's requests"),)
    names = sorted({each.tenant for each in same})
    if len(names) > 2:
        return (Part(f"the requests of {format.count_word(len(names))} others"),)
    if names == [""]:
        return (Part("work without a tenant"),)
    linked = [Part(f"{name}'s", tenant_link(say.link, name)) for name in names if name]
    return (*row(linked, " and "), Part(" requests"))


def _next(say: Speech, found: Sequence[Crossing]) -> tuple[Part, ...]:
    worst = max(found, key=lambda each: (each.last_ns, each.count))
    times = sum(each.count for each in found)
    said = [Part(f"{format.plural(times, 'time')}: {worst.cause}")]
    if worst.trace_id:
        said.append(Part("open the trace", trace_link(say.link, worst.trace_id)))
    return row(said)


def _nothing(say: Speech) -> Headline:
    day, month = (say.here(range=name) for name in ("24h", "30d"))
    sub = (Part("Look at "), Part("the last 24 hours", day), Part(" or "), Part("30 days", month), Part("."))
    return Headline("quiet", (Part(f"No statement on tables of tenants in {say.span}."),), sub)


def _unchecked(say: Speech, total: Coverage) -> Headline:
    text = f"None of {format.plural(total.total, 'statement')} on tables of tenants could be checked in {say.span}."
    return Headline("warn", (Part(text),), (Part(f"{format.sentence(_why(total))}."),))


def _share(total: Coverage) -> str:
    ratio = total.checked_share or 0.0
    if ratio >= _FULL_RATIO:
        return "all statements were" if ratio == 1 else "99.9 % of the statements were"
    return f"{ratio * 100:.1f} % of the statements were"


def _gaps(total: Coverage, loose: int) -> tuple[Part, ...]:
    said = []
    if total.statements.get("unscoped"):
        which = f"{format.plural(loose, 'statement')}" if loose else "some statements"
        said.append(f"Nothing holds {which} to a tenant ({format.plural(total.statements['unscoped'], 'run')})")
    if total.unchecked:
        number = format.plural(sum(total.unchecked.values()), "statement")
        said.append(f"{number} could not be checked: {_why(total)}")
    if total.statements.get("exempt"):
        said.append(f"{format.plural(total.statements['exempt'], 'statement')} crossed with leave")
    return (Part(f"{'; '.join(said)}."),) if said else ()


def _why(total: Coverage) -> str:
    worst = max(total.unchecked.items(), key=lambda item: item[1], default=("", 0))[0]
    if not worst:
        return "nothing holds them to a tenant"
    return REASONS.get(worst, worst)
