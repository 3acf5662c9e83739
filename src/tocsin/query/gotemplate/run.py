"""Fills a parsed template, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tocsin.query.gotemplate.builtins import truth
from tocsin.query.gotemplate.format import shown
from tocsin.query.gotemplate.parse import (
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

MOST_STEPS = 20_000
LONGEST_TEXT = 65_536
DEEPEST_CALL = 20


class Leaving(Exception):
    def __init__(self, kind: str) -> None:
        self.kind = kind


class Run:
    """One filling of a template. Functions that need the run itself are added by overriding `called`."""

    def __init__(self, template: Template, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._template = template
        self._functions = functions
        self._steps = 0
        self._out: list[str] = []
        self._length = 0
        self._depth = 0

    def text(self, dot: Any, names: dict[str, Any]) -> str:
        """The text. names: the variables known from the start. Raises TemplateError."""
        try:
            self._walk(self._template.nodes, dot, [names])
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            raise error if isinstance(error, TemplateError) else TemplateError(str(error)) from error
        return "".join(self._out)

    def _walk(self, nodes: Sequence[Any], dot: Any, scopes: list[dict[str, Any]]) -> None:
        for node in nodes:
            self._count()
            match node:
                case Text(text):
                    self._write(text)
                case Action(pipeline):
                    value = self._value(pipeline, dot, scopes)
                    if not pipeline.targets:
                        self._write(shown(value))
                case Branch():
                    self._branch(node, dot, scopes)
                case Leave(kind):
                    raise Leaving(kind)
                case Call(name, pipeline):
                    self._call(name, None if pipeline is None else self._value(pipeline, dot, scopes))

    def _branch(self, node: Branch, dot: Any, scopes: list[dict[str, Any]]) -> None:
        inner = [*scopes, {}]
        if node.kind == "range":
            self._range(node, dot, inner)
            return
        value = self._value(node.pipeline, dot, inner)
        if truth(value):
            self._walk(node.body, value if node.kind == "with" else dot, inner)
        else:
            self._walk(node.otherwise, dot, inner)

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
            self._walk(node.otherwise, dot, scopes)
        targets = node.pipeline.targets
        for key, one in pairs:
            scope = dict(zip(targets, (one,) if len(targets) == 1 else (key, one), strict=False))
            try:
                self._walk(node.body, one, [*scopes, scope])
            except Leaving as leaving:
                if leaving.kind == "break":
                    break

    def _call(self, name: str, dot: Any) -> None:
        if name not in self._template.defined:
            raise TemplateError(f'template "{name}" not defined')
        self._depth += 1
        if self._depth > DEEPEST_CALL:
            raise TemplateError(f'template "{name}" calls itself too often')
        self._walk(self._template.defined[name], dot, [{"$": dot}])
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
        if not isinstance(head, Function):
            if rest or piped:
                raise TemplateError("can't give argument to non-function")
            return self._operand(head, dot, scopes)
        if head.name in ("and", "or"):
            return self._logic(head.name, rest, dot, scopes, piped)
        arguments = [*(self._operand(one, dot, scopes) for one in rest), *piped]
        return self.called(head.name, arguments)

    def _logic(self, name: str, rest: Sequence[Any], dot: Any, scopes: list[dict[str, Any]], piped: list[Any]) -> Any:
        value: Any = None
        for one in rest:
            value = self._operand(one, dot, scopes)
            if truth(value) == (name == "or"):
                return value
        return piped[0] if piped else value

    def called(self, name: str, arguments: list[Any]) -> Any:
        return self._functions[name](*arguments)

    def captured(self, name: str, dot: Any) -> str:
        """What a defined template makes."""
        before, self._out = self._out, []
        self._call(name, dot)
        made, self._out = "".join(self._out), before
        return made

    def _operand(self, node: Any, dot: Any, scopes: list[dict[str, Any]]) -> Any:
        self._count()
        match node:
            case Literal(value):
                return value
            case Dot():
                return dot
            case Variable(name):
                return next(scope[name] for scope in reversed(scopes) if name in scope)
            case Function(name):
                return self.called(name, [])
            case Pipeline():
                return self._value(node, dot, scopes)
            case Chain(of, names):
                value = self._operand(of, dot, scopes)
                for name in names:
                    value = _field(value, name)
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


def _field(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name, "")  # missingkey=zero: a label that is not there is empty
    raise TemplateError(f"can't evaluate field {name} in {shown(value)[:40]}")
