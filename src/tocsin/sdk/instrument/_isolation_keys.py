"""Keys of Redis that name a tenant: declared ones, and those with a segment after one named like a tenant column."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tocsin.sdk.agents import current_agent
from tocsin.sdk.increases import MOST_NOTED, Increases, Note
from tocsin.sdk.instrument._isolation_named import SCOPED_LABELS, Place, hold
from tocsin.sdk.isolation import configure, crossing_reason, declared
from tocsin.sdk.isolation_findings import KEYS
from tocsin.sdk.settings import Settings
from tocsin.sdk.shapes import Shapes
from tocsin.sdk.tenant import work_at_hand

_KNOWN_KEYS = 4096
# Kinds of keys that are told apart; the rest is one.
_PLACES = 300
# Commands with several keys: which of their arguments are keys.
_ALL, _PAIRS, _TWO, _BUT_LAST = slice(1, None), slice(1, None, 2), slice(1, 3), slice(1, -1)
_SEVERAL = {
    **dict.fromkeys(("MGET", "DEL", "UNLINK", "EXISTS", "TOUCH", "WATCH"), _ALL),
    **dict.fromkeys(("SINTER", "SUNION", "SDIFF", "PFCOUNT"), _ALL),
    **dict.fromkeys(("MSET", "MSETNX"), _PAIRS),
    **dict.fromkeys(("RENAME", "SMOVE", "LMOVE", "RPOPLPUSH"), _TWO),
    **dict.fromkeys(("BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX"), _BUT_LAST),
}  # fmt: skip


class _Named:
    """What a key says: the tenant and where it stands; a place of None when it names nobody.

    own: the tenant whose own it was found to be the last time, how its rows name it, and what is counted for it then.
    One tuple, because other threads read it meanwhile.
    """

    __slots__ = ("own", "place", "value")

    def __init__(self, place: Place | None, value: str) -> None:
        self.place, self.value = place, value
        self.own: tuple[str, Any, Note] | None = None


_NOBODY = _Named(None, "")


class Keys:
    """Holds the keys of commands against the tenant of here and now."""

    def __init__(self, settings: Settings, text_of: Callable[[Any], str]) -> None:
        configure(settings)
        self._ratio, self._text_of = settings.isolation_ratio, text_of
        self._is_always = self._ratio >= 1.0
        self._shapes = Shapes("*", ":")
        self._known: dict[str, _Named] = {}
        self._places: dict[str, Place] = {}
        self._inferred = re.compile("")
        self._version = -1

    def check(self, command: str, args: Sequence[Any]) -> None:
        """args: the command itself and its arguments, the first of which is a key."""
        if declared.version != self._version:
            self._forget()
        key = args[1]
        if type(key) is str and command not in _SEVERAL:
            named = self._known.get(key) or self._find(key)
            if named.place is None:
                return
            work, own = work_at_hand(), named.own
            if own is None or work is None or crossing_reason.get():
                self._hold(command, named, work)
            elif (work.tenant or work.find_tenant()) == own[0] and work.row_tenant == own[1] and work.agent is not None:
                # Nearly all keys end here: found to be its tenant's own before.
                noted = work.agent.increases.noted
                noted.append(own[2])
                if len(noted) > MOST_NOTED:
                    work.agent.increases.count_noted()
            else:
                self._hold(command, named, work)
            return
        several = _SEVERAL.get(command)
        for each in (key,) if several is None else _flat(args[several]):
            text = each if type(each) is str else self._text_of(each)
            named = self._known.get(text) or self._find(text)
            if named.place is not None:
                self._hold(command, named, work_at_hand())

    def _hold(self, command: str, named: _Named, work: Any) -> None:
        """Holds one key against the tenant of here and now, and remembers when it is its own."""
        place, value = named.place, named.value
        if place is None:
            return
        tenant: str = (work.find_tenant() or "") if work is not None else ""
        allowed = declared.allowed.get((tenant, work.row_tenant), ()) if tenant else ()
        if value in allowed and place.is_settled and self._is_always and not crossing_reason.get():
            note = (KEYS, SCOPED_LABELS, tenant, 1)
            named.own = tenant, work.row_tenant, note
            _count(note, work)
        else:
            hold(KEYS, "key", place, value, f"{command} {place.what}", self._ratio)

    def _forget(self) -> None:
        """After a new declaration everything is read anew."""
        self._version = declared.version
        self._known.clear()
        self._places.clear()
        words = {word for column in declared.now.columns for word in (column, column.removesuffix("_id"))}
        listed = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
        self._inferred = re.compile(rf"(?:^|[:/|])((?:{listed})s?)[:/|]\{{?([^:/|{{}}]+)", re.IGNORECASE)

    def _find(self, text: str) -> _Named:
        if len(self._known) >= _KNOWN_KEYS:
            self._known.clear()
        named = self._known[text] = self._read(text)
        return named

    def _read(self, text: str) -> _Named:
        for pattern in declared.now.key_patterns:
            found = pattern.regex.fullmatch(text)
            if found is not None:
                if not pattern.names_tenant:
                    return _NOBODY
                return _Named(self._place(pattern.text, "{tenant}", True, pattern.is_certain), found[1])
        found = self._inferred.search(text)
        if found is None:
            return _NOBODY
        # What follows may say more than the kind of thing it is, and is nobody's business.
        before, separator = self._shapes.of(text[: found.end(1)]), text[found.end(1)]
        rest = f"{separator}*" if text[found.end() :].strip("}") else ""
        what = f"{before}{separator}{{tenant}}{rest}"
        return _Named(self._place(what, found[1].lower(), declared.now.is_explicit, False), found[2])

    def _place(self, what: str, column: str, is_declared: bool, is_certain: bool) -> Place:
        place = self._places.get(what)
        if place is None:
            if len(self._places) >= _PLACES:
                what = "other"
            place = self._places.get(what) or Place(what, column, is_declared=is_declared, is_certain=is_certain)
            self._places[what] = place
        return place


def _count(note: Note, work: Any) -> None:
    agent = work.agent or current_agent()
    if agent is not None:
        increases: Increases = agent.increases
        noted = increases.noted
        noted.append(note)
        if len(noted) > MOST_NOTED:
            increases.count_noted()


def _flat(keys: Sequence[Any]) -> list[Any]:
    """Some commands take their keys as a list."""
    found: list[Any] = []
    for key in keys:
        found += key if isinstance(key, list | tuple) else (key,)
    return found
