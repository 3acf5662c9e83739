"""The parsers: what `json`, `logfmt`, `pattern`, `regexp` and `unpack` read out of a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from tocsin.query.logql.expressions import Json, Logfmt, Pattern, Regexp, Unpack
from tocsin.query.logql.line import Line
from tocsin.query.logql.line_pattern import capture_pattern
from tocsin.query.logql.names import label_name
from tocsin.query.logql.patterns import compile_search, group_names
from tocsin.query.promql.literals import unquote

Apply = Callable[[Line], bool]
DEEPEST_JSON = 32
MOST_FIELDS = 1_000
_ESCAPE = re.compile(r"[\x00-\x1f]")


def _put(line: Line, name: str, value: str) -> None:
    """A label of the stream is not overwritten: what was read gets another name."""
    if name in line.stream:
        name += "_extracted"
    if name not in line.parsed:
        line.put(name, value)


def parser(stage: Json | Logfmt | Pattern | Regexp | Unpack) -> Apply:
    match stage:
        case Json(fields=()):
            return _json
        case Json():
            return _json_fields(stage)
        case Logfmt():
            return _logfmt(stage)
        case Pattern():
            return _pattern(stage)
        case Regexp():
            return _regexp(stage)
        case Unpack():
            return _unpack


def _loaded(line: Line) -> Any:
    """The JSON value of a line; None when it is none or no object, which is noted."""
    try:
        found = orjson.loads(line.text)
    except ValueError as error:
        line.fail("JSONParserErr", str(error)[:200])
        return None
    if not isinstance(found, dict):
        line.fail("JSONParserErr", "the line is JSON, but no object")
        return None
    return found


def _was_read(line: Line) -> bool:
    """Whether the line was JSON and its fields became attributes when it was stored, or it was sent with them."""
    return line.has_fields and not line.text.startswith(("{", "["))


def _json(line: Line) -> bool:
    if _was_read(line):
        return True
    found = _loaded(line)
    if found is not None:
        for place, (name, value) in enumerate(_flattened("", found, 0)):
            if place >= MOST_FIELDS:
                break
            _put(line, name, value)
    return True


def _flattened(prefix: str, found: dict[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    """Nested objects join their names with `_`; lists are left out, as in Loki."""
    for key, value in found.items():
        name = label_name(key) if not prefix else f"{prefix}_{_inner(key)}"
        if isinstance(value, dict):
            if depth < DEEPEST_JSON:
                yield from _flattened(name, value, depth + 1)
        elif isinstance(value, str):
            yield name, value
        elif value is not None and not isinstance(value, list):
            yield name, _text(value)


def _inner(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", key)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def _json_fields(stage: Json) -> Apply:
    def apply(line: Line) -> bool:
        if _was_read(line):
            for name, _, path in stage.fields:
                _put(line, name, line.get(label_name("_".join(map(str, path)))) or "")
            return True
        found = _loaded(line)
        if found is None:
            for name, _, _ in stage.fields:
                _put(line, name, "")
            return True
        for name, _, path in stage.fields:
            value = _at(found, path)
            _put(line, name, "" if value is None else _text(value))
        return True

    return apply


def _at(found: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        if isinstance(step, int):
            found = found[step] if isinstance(found, list) and step < len(found) else None
        else:
            found = found.get(step) if isinstance(found, dict) else None
        if found is None:
            return None
    return found


_PAIR = re.compile(r'[^\S\n]*(?:([^\s="]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*)))?|(\S))')


def logfmt_pairs(text: str) -> Iterator[tuple[str, str | None]]:
    """Keys with their values; a key alone has None. What is no pair is (text, None) with an empty key."""
    for key, quoted, bare, wrong in _PAIR.findall(text):
        if wrong:
            yield "", wrong
        elif quoted:
            yield key, _unescaped(quoted)
        else:
            yield key, bare


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return unquote(f'"{text}"')
    except (ValueError, IndexError, KeyError):
        return text


def _logfmt(stage: Logfmt) -> Apply:
    wanted: dict[str, list[str]] = {}
    for name, key in stage.fields:
        wanted.setdefault(key, []).append(name)

    def apply(line: Line) -> bool:
        for name, _ in stage.fields:
            if name not in line.stream:
                line.parsed.setdefault(name, "")
        for place, (key, value) in enumerate(logfmt_pairs(line.text)):
            if place >= MOST_FIELDS:
                break
            if not key:
                if stage.strict:
                    line.fail("LogfmtParserErr", f"unexpected {value!r}")
                    break
                continue
            if wanted:
                for name in wanted.get(key, ()):
                    line.parsed.pop(name, None)
                    _put(line, name, value or "")
            elif value or stage.keep_empty:
                _put(line, label_name(key), value or "")
        return True

    return apply


def _pattern(stage: Pattern) -> Apply:
    pattern = capture_pattern(stage.text)

    def apply(line: Line) -> bool:
        for name, value in pattern.values(line.text).items():
            _put(line, name, value)
        return True

    return apply


def _regexp(stage: Regexp) -> Apply:
    compiled, names = compile_search(stage.text), group_names(stage.text)

    def apply(line: Line) -> bool:
        found = compiled.search(line.text)
        if found is not None:
            for name, group in names.items():
                value = found.group(group)
                if value is not None:
                    _put(line, label_name(name), value)
        return True

    return apply


def _unpack(line: Line) -> bool:
    found = _loaded(line)
    if found is None:
        return True
    entry = found.pop("_entry", None)
    for key, value in found.items():
        if isinstance(value, str):
            _put(line, label_name(key), value)
    if isinstance(entry, str):
        line.text = entry
    return True
