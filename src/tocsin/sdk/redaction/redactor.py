"""Text and fields without what is secret in them. Clean text, which is nearly all, costs a look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tocsin.sdk.redaction import patterns
from tocsin.sdk.redaction.checks import is_basic, is_card_number, is_iban, is_random
from tocsin.sdk.redaction.names import counts_tokens, is_secret_name

_LEVELS = 6
_KEPT, _KEPT_CHARACTERS = 4096, 64
# What is shorter says nothing; a name with its value is longer.
_LEAST_CHARACTERS = 6
_ITEMS = 200
# What is looked at beyond where a text will be cut; longer secrets are known by their beginning.
SLACK = 512
# Longer texts are cut before they are looked through: nobody reads them whole.
_TEXT_CHARACTERS = 256 * 1024

# Letters and digits to `x`, so that a long run of them is found by looking for twelve of these.
_RUN = b"x" * 12
_AS_RUNS = bytes(0x78 if chr(byte).isascii() and chr(byte).isalnum() else 0x20 for byte in range(256))
# Digits to `0`; spaces and dashes are taken out before, which group the digits of cards and accounts.
_DIGITS = b"0" * 10
_AS_DIGITS = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_GROUPING = b" -"
# What names of secrets are made of, and what secrets without a name begin with; all in lower case.
_STEMS = (
    "pass", "pwd", "secret", "token", "key", "auth", "cred", "cookie", "sess", "sid", "csrf", "sig", "pin", "cvv",
    "cvc", "ssn", "otp", "jwt", "iban", "card", "dsn", "conn", "code", "webhook", "param", "pan", "number",
)  # fmt: skip
_SPOKEN = (
    "bearer", "basic ", "-----begin", "password", "passcode", "passphrase", "secret ", "pin ", "otp ",
    "duplicate entry", "failing row", "_live_", "_test_", "[no key", "[raw sql", "[generated", "[cached", "[dialect",
    "[caching", "[parameters", "=(",
)  # fmt: skip


_PERSONAL_STEMS = ("mail", "phone", "mobile", "address", "birth", "dob")


def mark(kind: str) -> str:
    """What stands in the place of a secret."""
    return f"[redacted:{kind}]"


class Redactor:
    """names: fields whose values are secret, beside those known by their names; expressions: more that is secret
    wherever it stands; personal: e-mail addresses and telephone numbers, too."""

    def __init__(self, names: tuple[str, ...] = (), expressions: tuple[str, ...] = (), personal: bool = False) -> None:
        self._names = frozenset(name.lower() for name in names)
        self._own = tuple(re.compile(expression) for expression in expressions)
        self._personal = personal
        # Names that were asked for, and short texts with nothing in them: both come again and again.
        self._known: dict[str, bool] = {}
        self._clean: set[str] = set()
        stems = "|".join(map(re.escape, (*_STEMS, *(_PERSONAL_STEMS if personal else ()), *sorted(self._names))))
        # What may be such a name, and what stands between a name and its value.
        self._find_name = re.compile(rf"(?:{stems})[\w.\"'\]\\-]{{0,64}}\s{{0,3}}[:=]").search

    def is_secret(self, name: str) -> bool:
        """Whether a field of this name is not to be shown."""
        found = self._known.get(name)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[name] = is_secret_name(name, self._names, self._personal)
        return found

    def text(self, text: str, ids_stay: bool = False) -> str:
        """The text without secrets; the same object when there is nothing to take out.

        ids_stay: runs of characters that look drawn by chance are left, as in paths, where they name things.
        """
        if text in self._clean:
            return text
        if self.is_suspect(text):
            return self._cleaned(text[:_TEXT_CHARACTERS], ids_stay)
        if len(text) <= _KEPT_CHARACTERS:
            if len(self._clean) >= _KEPT:
                self._clean.clear()
            self._clean.add(text)
        return text

    def cut(self, text: str, characters: int) -> str:
        """The beginning of the text without secrets. Cut last, with some more looked through than is left: half of a
        secret looks like none."""
        if len(text) <= characters:
            return self.text(text)
        return self.text(text[: characters + SLACK])[:characters]

    def is_suspect(self, text: str) -> bool:
        """Whether there may be something in it: far too often yes, never no where there is a secret we know."""
        if self._own:
            return True
        if len(text) < _LEAST_CHARACTERS:
            return False
        raw = text.encode("utf-8", "replace")
        if _RUN in raw.translate(_AS_RUNS) and patterns.TOKENISH.search(text):
            return True
        if _DIGITS in raw.translate(_AS_DIGITS, _GROUPING):
            return True
        if "@" in text and ("://" in text or self._personal):
            return True
        lower = text.lower()
        # Looking for each costs less than one expression for all of them, which has no letter to begin with.
        for words in _SPOKEN:
            if words in lower:
                return True
        return (":" in lower or "=" in lower) and self._find_name(lower) is not None

    def value(self, name: str, value: Any, level: int = 0) -> Any:
        """The value of a field: its mark if the name says that it is secret, else without what is secret in it.

        Containers come back as new ones of plain kinds, cut where they are very large or deep.
        """
        kind = type(value)
        if kind is str and value and not self.is_secret(name):
            return self.text(value)
        is_said = value is not None and kind is not bool and value != ""
        if is_said and self.is_secret(name) and not (kind in (int, float) and counts_tokens(name)):
            return mark("field")
        if kind is str:
            return self.text(value)
        if kind in (int, float, bool) or value is None:
            return mark("card") if kind is int and value > 10**12 and is_card_number(str(value)) else value
        return self._composite(name, value, level)

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {str(name): self.value(str(name), value) for name, value in fields.items()}

    def attributes(self, fields: Mapping[str, Any], characters: int) -> Mapping[str, Any]:
        """Attributes as OpenTelemetry has them, texts cut to so many characters; the same object when nothing is to be
        taken out."""
        shown = {name: self._shown(name, value, characters) for name, value in fields.items()}
        return shown if any(shown[name] is not value for name, value in fields.items()) else fields

    def _shown(self, name: str, value: Any, characters: int) -> Any:
        if type(value) is str and not self.is_secret(name):
            return self.cut(value, characters)
        if type(value) in (bool, type(None)):
            return value
        if type(value) is tuple:
            shown = self.value(name, value)
            return value if shown == list(value) else shown
        return self.value(name, value)

    def _composite(self, name: str, value: Any, level: int) -> Any:
        if level >= _LEVELS:
            return "…"
        if isinstance(value, Mapping):
            return {str(k): self.value(str(k), v, level + 1) for k, v in list(value.items())[:_ITEMS]}
        if isinstance(value, list | tuple | set | frozenset):
            items = list(value)[:_ITEMS]
            if len(items) == 2 and isinstance(items[0], str | bytes) and isinstance(items[1], str | bytes):
                return self._pair(items)
            return [self.value("", item, level + 1) for item in items]
        if isinstance(value, bytes | bytearray):
            return self.text(bytes(value[:_TEXT_CHARACTERS]).decode("utf-8", "replace"))
        for base in (bool, int, float):
            if isinstance(value, base):
                return base(value)
        return self.text(str(value))

    def _pair(self, items: list[Any]) -> list[Any]:
        """Headers are often lists of such pairs."""
        name, value = (item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in items)
        return [self.text(name), self.value(name, value, _LEVELS)]

    # -- what costs

    def _cleaned(self, text: str, ids_stay: bool) -> str:
        if "-----BEGIN" in text:
            text = patterns.PEM.sub(mark("private_key"), text)
        text = _without_sql_values(text)
        text = patterns.TOKENS.sub(lambda found: mark(found.lastgroup or "token"), text)
        if "://" in text and "@" in text:
            text = patterns.URL_PASSWORD.sub(rf"\g<1>{mark('password')}@", text)
        text = self._without_named(text)
        text = patterns.BEARER.sub(rf"\g<1>\g<2>{mark('bearer')}", text)
        text = patterns.BASIC.sub(lambda m: f"{m[1]}{mark('basic')}" if is_basic(m[2]) else m[0], text)
        text = patterns.IS_PASSWORD.sub(_spoken, text)
        text = patterns.CARD.sub(_without_card, text)
        text = patterns.IBAN.sub(lambda m: mark("iban") if is_iban(m[0]) else m[0], text)
        if not ids_stay:
            text = patterns.RANDOM.sub(_random, text)
        if self._personal:
            text = patterns.EMAIL.sub(mark("email"), text)
            text = patterns.PHONE.sub(mark("phone"), text)
        for expression in self._own:
            text = expression.sub(mark("own"), text)
        return text

    def _without_named(self, text: str) -> str:
        """`name=value`, `"name": "value"` and headers, the values of secret names taken out."""
        pieces: list[str] = []
        done = 0
        for found in patterns.NAME.finditer(text):
            if found.start() < done or not self._is_secret_here(text, found):
                continue
            end = _value_end(text, found)
            if end is None:
                continue
            start, quote = found.end(), ""
            if text[start] in "\"'":
                quote = text[start]
            pieces += (text[done:start], quote, mark("field"), quote)
            done = end
        return "".join((*pieces, text[done:])) if pieces else text

    def _is_secret_here(self, text: str, found: re.Match[str]) -> bool:
        name = found[1].strip(".-")
        if self.is_secret(name):
            return True
        if name.lower() not in ("key", "code", "number"):
            return False
        words = text[max(0, found.start() - 24) : found.start()].split()
        return bool(words) and self.is_secret(f"{words[-1]}_{name}")


def _value_end(text: str, found: re.Match[str]) -> int | None:
    """Where the value after a secret name ends; None when it is none."""
    start = found.end()
    if "cookie" in found[1].lower() and text[start : start + 1] not in ("'", '"', "\\", "{"):
        rest = patterns.REST_OF_LINE.match(text, start)
        return rest.end() if rest and rest[0].strip().lower() not in patterns.HARMLESS_VALUES else None
    scheme = patterns.SCHEME.match(text, start)
    value = patterns.VALUE.match(text, scheme.end() if scheme else start)
    if value is None or not value[0]:
        return None
    shown = value[0].strip("\"'\\,.").lower()
    if not shown or shown in patterns.HARMLESS_VALUES or shown.startswith("[redacted:"):
        return None
    if shown.replace(".", "", 1).isdigit() and counts_tokens(found[1]):
        return None
    return value.end()


def _without_sql_values(text: str) -> str:
    if "[parameters: " in text:
        text = patterns.SQL_PARAMETERS.sub(f"[parameters: {mark('sql')}]", text)
    if "] " in text:
        text = patterns.SQL_ECHO.sub(rf"\g<1>\g<2> {mark('sql')}", text)
    if "=(" in text:
        text = patterns.SQL_DETAIL.sub(rf"\g<1>({mark('sql')})", text)
    if "Failing row" in text:
        text = patterns.SQL_ROW.sub(rf"\g<1>({mark('sql')})", text)
    if "Duplicate entry" in text:
        text = patterns.SQL_DUPLICATE.sub(rf"\g<1>'{mark('sql')}'", text)
    return text


def _spoken(found: re.Match[str]) -> str:
    if found[3].startswith("[redacted:"):
        return found[0]
    return f"{found[1]}{found[2]}{mark('password')}"


def _without_card(found: re.Match[str]) -> str:
    """Other numbers may stand before and behind a card's: every run of groups is tried, the longest first."""
    text = found[0]
    if is_card_number(text):
        return mark("card")
    places = [0, *(place + 1 for place, character in enumerate(text) if character in " -")]
    for start in places:
        for end in sorted((*(place - 1 for place in places if place > start), len(text)), reverse=True):
            if is_card_number(text[start:end]):
                return f"{text[:start]}{mark('card')}{text[end:]}"
    return text


def _random(found: re.Match[str]) -> str:
    text = found[0]
    if patterns.HARMLESS_ID.match(text) or not is_random(text.rstrip("=")):
        return text
    return mark("random")
