"""The part of Go's templates that pipeline stages use: fields, literals and functions, piped or nested.

`{{ .Value | ToUpper }}`, `{{ Replace .path "/" "-" 1 }}`, `{{ .app }}-{{ .level }}`. Conditions and loops are not
carried out; a template with one is refused when it is read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import re2

Fields = Mapping[str, Any]
Render = Callable[[Fields], str]
_Value = Callable[[Fields, Any], Any]

_TOKEN = re.compile(r'\s*(?:(\.[A-Za-z_]\w*|\.)|("(?:[^"\\]|\\.)*"|`[^`]*`)|(-?\d+)|([A-Za-z_]\w*)|([|()]))')
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
MAX_NESTING = 20


def text_of(value: Any) -> str:
    """As Go prints a value that a stage extracted."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return "" if value is None else str(value)


def _replace(text: str, old: str, new: str, count: int) -> str:
    return text.replace(old, new, count)


FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "ToLower": (1, str.lower),
    "ToUpper": (1, str.upper),
    "lower": (1, str.lower),
    "upper": (1, str.upper),
    "TrimSpace": (1, str.strip),
    "trim": (1, str.strip),
    "Trim": (2, lambda text, cut: text.strip(cut)),
    "TrimLeft": (2, lambda text, cut: text.lstrip(cut)),
    "TrimRight": (2, lambda text, cut: text.rstrip(cut)),
    "TrimPrefix": (2, lambda text, cut: text.removeprefix(cut)),
    "TrimSuffix": (2, lambda text, cut: text.removesuffix(cut)),
    "Replace": (4, lambda text, old, new, count: _replace(text, old, new, int(count))),
    "replace": (3, lambda old, new, text: _replace(text, old, new, -1)),
    "regexReplaceAll": (3, lambda regex, text, new: _sub(regex, text, new)),
    "regexReplaceAllLiteral": (3, lambda regex, text, new: re2.sub(regex, new.replace("\\", "\\\\"), text)),
    "Sha2Hash": (2, lambda salt, text: hashlib.sha256((salt + text).encode()).hexdigest()),
    "Hash": (2, lambda salt, text: hashlib.sha3_256((salt + text).encode()).hexdigest()),
    "default": (2, lambda other, text: text or other),
    "trunc": (2, lambda count, text: text[: int(count)] if int(count) >= 0 else text[int(count) :]),
}


def template(text: str) -> Render:
    """Raises ValueError for what is not supported, by name."""
    parts: list[str | _Value] = []
    position = 0
    while (begin := text.find("{{", position)) >= 0:
        end = text.find("}}", begin)
        if end < 0:
            raise ValueError(f"template {text[:60]!r} has {{{{ without }}}}")
        parts += [text[position:begin], _expression(text[begin + 2 : end].strip("-"))]
        position = end + 2
    parts.append(text[position:])

    def render(fields: Fields) -> str:
        return "".join(part if isinstance(part, str) else text_of(part(fields, None)) for part in parts)

    return render


def _expression(text: str) -> _Value:
    tokens = _tokens(text)
    value = _pipeline(tokens, 0)
    if tokens:
        raise ValueError(f"template expression {text.strip()[:60]!r} cannot be read at {tokens[0][1]!r}")
    return value


def _tokens(text: str) -> list[tuple[str, str]]:
    found, position = [], 0
    text = text.strip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"template expression {text[:60]!r} cannot be read at {text[position:][:20]!r}")
        kind = next(
            name
            for name, group in zip(("field", "text", "number", "word", "mark"), token.groups(), strict=True)
            if group
        )
        found.append((kind, token[0].strip()))
        position = token.end()
    return found


def _pipeline(tokens: list[tuple[str, str]], depth: int) -> _Value:
    """Takes its tokens off the list."""
    if depth > MAX_NESTING:
        raise ValueError(f"a template is nested deeper than {MAX_NESTING} levels")
    value = _command(tokens, depth, is_piped=False)
    while tokens and tokens[0] == ("mark", "|"):
        tokens.pop(0)
        value = _piped(value, _command(tokens, depth, is_piped=True))
    return value


def _piped(before: _Value, after: _Value) -> _Value:
    return lambda fields, _: after(fields, before(fields, None))


def _command(tokens: list[tuple[str, str]], depth: int, *, is_piped: bool) -> _Value:
    if not tokens:
        raise ValueError("a template expression ends where a value is missing")
    if tokens[0][0] != "word":
        return _operand(tokens, depth)
    name = tokens.pop(0)[1]
    if name not in FUNCTIONS:
        raise ValueError(f"template function {name!r} is not supported; there are {', '.join(FUNCTIONS)}")
    count, function = FUNCTIONS[name]
    arguments = []
    while tokens and tokens[0] not in (("mark", "|"), ("mark", ")")):
        arguments.append(_operand(tokens, depth))
    if len(arguments) + is_piped != count:
        raise ValueError(f"template function {name!r} takes {count} values, not {len(arguments) + is_piped}")

    def call(fields: Fields, piped: Any) -> Any:
        values = [text_of(argument(fields, None)) for argument in arguments]
        return function(*values, *([text_of(piped)] if is_piped else []))

    return call


def _operand(tokens: list[tuple[str, str]], depth: int) -> _Value:
    kind, token = tokens.pop(0)
    if kind == "field":
        return lambda fields, _: fields.get(token[1:], "")
    if kind == "number":
        return lambda fields, _: token
    if kind == "text":
        literal = token[1:-1] if token[0] == "`" else re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), token[1:-1])
        return lambda fields, _: literal
    if token == "(":
        value = _pipeline(tokens, depth + 1)
        if not tokens or tokens.pop(0) != ("mark", ")"):
            raise ValueError("a template has ( without )")
        return value
    raise ValueError(f"a template has {token!r} where a value is missing")


def _sub(regex: str, text: str, new: str) -> str:
    """Go refers to groups as $1 or ${1}."""
    python = re.sub(r"\$(?:\{(\w+)\}|(\d+))", lambda m: rf"\g<{m[1] or m[2]}>", new.replace("\\", "\\\\"))
    replaced: str = re2.sub(regex, python, text)
    return replaced
