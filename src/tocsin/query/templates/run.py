"""Carries out a template within bounds of steps, depth and length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tocsin.query.templates.functions import truth
from tocsin.query.templates.go_format import shown
from tocsin.query.templates.parse import (
    Action,
    Branch,
    Call,
    Chain,
    Dot,
    Function,
    Leave,
    Literal,
    Pipeline,
    Template,
    TemplateError,
    Text,
    Variable,
)
from tocsin.query.templates.values import member

IN_RUN = frozenset({"and", "or", "tmpl"})
"""Functions that need the run rather than their arguments alone."""

MOST_STEPS = 20_000
LONGEST_TEXT = 65_536
DEEPEST_CALL = 20

Functions = Mapping[str, Callable[..., Any]]
Escape = Callable[[Any, str], str]
"""A value as it may stand after the text before it."""


def carried_out(
    template: Template,
    functions: Functions,
    dot: Any,
    variables: Mapping[str, Any] | None = None,
    defined: Mapping[str, tuple[Any, ...]] | None = None,
    escape: Escape | None = None,
) -> str:
    """The text. defined: templates from elsewhere that it may call. Raises TemplateError."""
    run = _Run(functions, {**(defined or {}), **template.defined}, escape)
    try:
        run.walk(template.nodes, dot, [{"$": dot, **(variables or {})}])
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
        raise error if isinstance(error, TemplateError) else TemplateError(str(error)) from error
    return run.text


class _Leaving(Exception):
    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Run:
    def __init__(self, functions: Functions, defined: Mapping[str, tuple[Any, ...]], escape: Escape | None) -> None:
        self._functions = functions
        self._defined = defined
        self._escape = escape
        self._steps = 0
        self._out: list[str] = []
        self._length = 0
        self._depth = 0

    @property
    def text(self) -> str:
        return "".join(self._out)

    def walk(self, nodes: Sequence[Any], dot: Any, scopes: list[dict[str, Any]]) -> None:
        for node in nodes:
            self._count()
            match node:
                case Text(text):
                    self._write(text)
                case Action(pipeline):
                    value = self._value(pipeline, dot, scopes)
                    if not pipeline.targets:
                        self._write(self._escape(value, self.text) if self._escape else shown(value))
                case Branch():
                    self._branch(node, dot, scopes)
                case Leave(kind):
                    raise _Leaving(kind)
                case Call(name, pipeline):
                    self._call(name, None if pipeline is None else self._value(pipeline, dot, scopes))

    def _branch(self, node: Branch, dot: Any, scopes: list[dict[str, Any]]) -> None:
        inner = [*scopes, {}]
        if node.kind == "range":
            self._range(node, dot, inner)
            return
        value = self._value(node.pipeline, dot, inner)
        if truth(value):
            self.walk(node.body, value if node.kind == "with" else dot, inner)
        else:
            self.walk(node.otherwise, dot, inner)

    def _range(self, node: Branch, dot: Any, scopes: list[dict[str, Any]]) -> None:
        bare = Pipeline(node.pipeline.commands)
        value = self._value(bare, dot, scopes)
        pairs: list[tuple[Any, Any]]
        if isinstance(value, Mapping):
            pairs = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, list | tuple):
            pairs = list(enumerate(value))
        elif value is None:
            pairs = []
        else:
            raise TemplateError(f"range can't iterate over {shown(value)[:40]}")
        if not pairs:
            self.walk(node.otherwise, dot, scopes)
        targets = node.pipeline.targets
        for key, one in pairs:
            scope = dict(zip(targets, (one,) if len(targets) == 1 else (key, one), strict=False))
            try:
                self.walk(node.body, one, [*scopes, scope])
            except _Leaving as leaving:
                if leaving.kind == "break":
                    break

    def _call(self, name: str, dot: Any) -> None:
        if name not in self._defined:
            raise TemplateError(f'template "{name}" not defined')
        self._depth += 1
        if self._depth > DEEPEST_CALL:
            raise TemplateError(f'template "{name}" calls itself too often')
        self.walk(self._defined[name], dot, [{"$": dot}])
        self._depth -= 1

    def _value(self, pipeline: Pipeline, dot: Any, scopes: list[dict[str, Any]]) -> Any:
        value: Any = None
        for place, command in enumerate(pipeline.commands):
            value = self._command(command, dot, scopes, [value] if place else [])
        for name in pipeline.targets:
            holder = scopes[-1]
            if not pipeline.declares:
                holder = next((scope for scope in reversed(scopes) if name in scope), holder)
            holder[name] = value
        return value

    def _command(self, command: Sequence[Any], dot: Any, scopes: list[dict[str, Any]], piped: list[Any]) -> Any:
        self._count()
        head, *rest = command
        if isinstance(head, Chain) and (rest or piped):
            arguments = [*(self._operand(one, dot, scopes) for one in rest), *piped]
            return member(self._operand(Chain(head.of, head.names[:-1]), dot, scopes), head.names[-1], arguments)
        if not isinstance(head, Function):
            if rest or piped:
                raise TemplateError("can't give argument to non-function")
            return self._operand(head, dot, scopes)
        if head.name in ("and", "or"):
            return self._logic(head.name, rest, dot, scopes, piped)
        arguments = [*(self._operand(one, dot, scopes) for one in rest), *piped]
        return self._called(head.name, arguments)

    def _logic(self, name: str, rest: Sequence[Any], dot: Any, scopes: list[dict[str, Any]], piped: list[Any]) -> Any:
        value: Any = None
        for one in rest:
            value = self._operand(one, dot, scopes)
            if truth(value) == (name == "or"):
                return value
        return piped[0] if piped else value

    def _called(self, name: str, arguments: list[Any]) -> Any:
        if name == "tmpl":
            before, self._out = self._out, []
            self._call(str(arguments[0]), arguments[1] if len(arguments) > 1 else None)
            made, self._out = self.text, before
            return made
        return self._functions[name](*arguments)

    def _operand(self, node: Any, dot: Any, scopes: list[dict[str, Any]]) -> Any:
        self._count()
        match node:
            case Literal(value):
                return value
            case Dot():
                return dot
            case Variable(name):
                found = next((scope for scope in reversed(scopes) if name in scope), None)
                if found is None:
                    raise TemplateError(f'undefined variable "{name}"')
                return found[name]
            case Function(name):
                return self._called(name, [])
            case Pipeline():
                return self._value(node, dot, scopes)
            case Chain(of, names):
                value = self._operand(of, dot, scopes)
                for name in names:
                    value = member(value, name, [])
                return value
        raise TemplateError(f"cannot evaluate {node}")

    def _write(self, text: str) -> None:
        self._length += len(text)
        if self._length > LONGEST_TEXT:
            raise TemplateError(f"the text is longer than {LONGEST_TEXT} characters; shorten the template")
        self._out.append(text)

    def _count(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TemplateError(f"the template takes more than {MOST_STEPS} steps; ask for fewer series")
