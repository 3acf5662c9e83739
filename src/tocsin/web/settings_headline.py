"""The sentences that open the settings pages: what is in use, what waits, what nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tocsin.model.control import ApiToken, AuditEntry, IngestKey, User
from tocsin.web import format
from tocsin.web.words import Headline, Part


def keys(rows: Sequence[IngestKey]) -> Headline:
    usable = [row for row in rows if row.revoked_at is None]
    if not usable:
        sub = "An application proves with a key that its telemetry may come in. Make the first one below."
        return Headline("quiet", (Part("There is no ingest key yet."),), (Part(sub),))
    return Headline("ok", (Part(f"{_works(len(usable), 'key')}."),), _never_used(usable))


def tokens(rows: Sequence[ApiToken], now: datetime) -> Headline:
    usable = [row for row in rows if not has_ended(row, now)]
    if not usable:
        sub = "A program that reads Tocsin signs in with a token: a script, a dashboard, another monitor."
        return Headline("quiet", (Part("There is no API token."),), (Part(sub),))
    return Headline("ok", (Part(f"{_works(len(usable), 'token')}."),), _never_used(usable))


def users(rows: Sequence[User]) -> Headline:
    able = [row for row in rows if not row.is_disabled and row.has_password]
    waiting = [row for row in rows if not row.is_disabled and not row.has_password]
    people = f"{_sentence_count(len(able))} people can sign in"
    if len(able) < 2:
        people = f"Only {able[0].name or able[0].email} can sign in" if able else "Nobody can sign in yet"
    if not waiting:
        return Headline("ok", (Part(f"{people}."),))
    verb = "has" if len(waiting) == 1 else "have"
    names = format.join([row.name or row.email for row in waiting])
    sub = f"{names} {verb} not set a password yet; a new link can be made below."
    return Headline("ok", (Part(f"{people}."),), (Part(sub),))


def audit(recent: Sequence[AuditEntry], read_action: str) -> Headline:
    """`recent` are the entries of the last day, the newest first."""
    reads = [entry for entry in recent if entry.action == read_action]
    changes = [entry for entry in recent if entry.action != read_action]
    if not recent:
        return Headline("quiet", (Part("Nobody changed or read anything in the last day."),))
    people = len({entry.actor_id for entry in reads})
    who = f"{format.count_word(people)} {'person' if people == 1 else 'people'} read telemetry" if reads else ""
    made = f"{format.plural(len(changes), 'change')} made" if changes else ""
    text = format.sentence(f"{who} in the last day{', ' + made if made else ''}" if who else f"{made} in the last day")
    everybody = sorted({entry.actor for entry in reads if entry.tenant is None})
    sub = (Part(f"{format.join(everybody)} looked at all tenants together."),) if everybody else ()
    return Headline("ok", (Part(f"{text}."),), sub)


def has_ended(token: ApiToken, now: datetime) -> bool:
    """Whether a token was revoked or has expired."""
    return token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now)


def _works(count: int, what: str) -> str:
    return f"One {what} works" if count == 1 else f"{_sentence_count(count)} {what}s work"


def _never_used(rows: Sequence[IngestKey | ApiToken]) -> tuple[Part, ...]:
    unused = [row.name for row in rows if row.last_used_at is None]
    if not unused:
        return ()
    verb = "was" if len(unused) == 1 else "were"
    return (Part(f"{format.join(unused)} {verb} never used."),)


def _sentence_count(count: int) -> str:
    return format.sentence(format.count_word(count))
