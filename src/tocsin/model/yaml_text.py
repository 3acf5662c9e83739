"""YAML, and JSON as part of it, to plain values that know the line they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str | int, ...]
LARGEST = 1_000_000
DEEPEST = 60
# Ten times as fast, where PyYAML was built with it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong where: `path` as panels[3].unit, `line` from 1 (0 when it is unknown)."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        where = ", ".join(part for part in (f"line {self.line}" if self.line else "", self.path) if part)
        return f"{where}: {self.message}" if where else self.message


class TextError(Exception):
    """A text cannot be read; `problems` are all that was found, never none."""

    def __init__(self, what: str, problems: list[Problem]) -> None:
        self.problems = problems
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"cannot read {what}: {problems[0]}{more}")


@dataclass(frozen=True, slots=True)
class Plain:
    """`value` is made of dicts, lists and scalars; `lines` gives the line of each of its paths."""

    value: Any
    lines: dict[Path, int]

    def problem(self, path: Path, message: str) -> Problem:
        at = path
        while at and at not in self.lines:
            at = at[:-1]
        return Problem(path_text(path), self.lines.get(at, 0), message)


def path_text(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read_yaml(text: str, what: str) -> Plain:
    """Raises TextError. Anchors and aliases are refused: a few of them can stand for gigabytes."""
    if len(text) > LARGEST:
        raise TextError(what, [Problem("", 0, f"it is longer than {LARGEST} characters; split it")])
    try:
        depth = 0
        for event in yaml.parse(text, _LOADER):
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise TextError(what, [Problem("", line, f"the alias *{event.anchor} is not taken; write it out")])
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > DEEPEST:  # before the C parser builds it, which would exhaust the stack
                    raise RecursionError
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
        node = yaml.compose(text, _LOADER)
        lines: dict[Path, int] = {}
        return Plain(_value(node, (), lines) if node is not None else None, lines)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise TextError(what, [Problem("", line, f"this is no YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise TextError(what, [Problem("", 0, f"this is no YAML: {str(error).splitlines()[0]}")]) from error
    except (RecursionError, ValueError) as error:
        raise TextError(what, [Problem("", 0, "it is nested too deeply or holds an impossible value")]) from error


_SCALARS = yaml.constructor.SafeConstructor()


def _value(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    lines[path] = node.start_mark.line + 1 if node.start_mark else 0
    if isinstance(node, yaml.MappingNode):
        return {
            key.value: _value(value, (*path, key.value), lines)
            for key, value in node.value
            if isinstance(key, yaml.ScalarNode)
        }
    if isinstance(node, yaml.SequenceNode):
        return [_value(one, (*path, place), lines) for place, one in enumerate(node.value)]
    if node.tag.endswith((":timestamp", ":binary")):  # written without quotes, but meant as text
        return node.value
    return _SCALARS.construct_object(node)


class _Writer(yaml.SafeDumper):
    """Several lines as a block, lists indented below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_block = "\n" in text and not any(line != line.rstrip() for line in text.split("\n"))
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if is_block else None)


class Short(list[Any]):
    """A list written on one line."""


_Writer.add_representer(str, _text)
_Writer.add_representer(
    Short, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
)


def write_yaml(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=120)
    return text
