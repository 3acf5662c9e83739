"""Go's template language: text to a tree of frozen nodes.

Source: the documentation of Go's text/template. Of it left out: channels and complex numbers.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Any

from tocsin.query.promql.literals import unquote

DEEPEST = 50
LONGEST = 65_536


class TemplateError(ValueError):
    """A template cannot be read or filled; the message names the place or the value."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Dot:
    pass


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(frozen=True, slots=True)
class Function:
    name: str


@dataclass(frozen=True, slots=True)
class Chain:
    """`of.names[0].names[1]`."""

    of: Any
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each a sequence of operands; the value of one is the last argument of the next.

    targets: variables that get the value; declares: `:=` rather than `=`.
    """

    commands: tuple[tuple[Any, ...], ...]
    targets: tuple[str, ...] = ()
    declares: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Branch:
    """if, with and range. kind says which."""

    kind: str
    pipeline: Pipeline
    body: tuple[Any, ...]
    otherwise: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """break or continue."""

    kind: str


@dataclass(frozen=True, slots=True)
class Call:
    """`{{ template "name" pipeline }}`."""

    name: str
    pipeline: Pipeline | None


@dataclass(frozen=True, slots=True)
class Template:
    nodes: tuple[Any, ...]
    defined: dict[str, tuple[Any, ...]] = field(default_factory=dict)


_ACTION = re.compile(
    r"\{\{(-(?=\s))?((?:\"(?:\\.|[^\"\\\n])*\"|`[^`]*`|'(?:\\.|[^'\\])*'|/\*.*?\*/|(?!\}\}).)*?)((?<=\s)-)?\}\}", re.S
)
_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<string>\"(?:\\.|[^\"\\\n])*\"|`[^`]*`)|(?P<char>'(?:\\.|[^'\\])')"
    r"|(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))"
    r"|(?P<variable>\$\w*)|(?P<field>\.\w+)|(?P<dot>\.)|(?P<word>\w+)|(?P<sign>:=|=|\||\(|\)|,)"
)
_KEYWORDS = {"if", "with", "range", "else", "end", "define", "template", "block", "break", "continue"}


def parse_template(text: str, functions: Container[str], variables: Iterable[str] = ()) -> Template:
    """functions and variables (besides `$`): those it may use. Raises TemplateError."""
    if len(text) > LONGEST:
        raise TemplateError(f"cannot read a template of {len(text)} characters: at most {LONGEST}")
    parser = _Parser(_pieces(text), functions, variables)
    nodes, end = parser.nodes((), 0)
    if end:
        raise TemplateError(f"unexpected {{{{{end}}}}}: nothing is open")
    return Template(nodes, parser.defined)


def _pieces(text: str) -> list[str | list[tuple[str, str]]]:
    """Texts, and actions as lists of tokens."""
    pieces: list[str | list[tuple[str, str]]] = []
    at, trims = 0, False
    for match in _ACTION.finditer(text):
        before = text[at : match.start()]
        _refuse_open(before)
        before = before.lstrip() if trims else before
        pieces.append(before.rstrip() if match[1] else before)
        inner = match[2].strip()
        if not (inner.startswith("/*") and inner.endswith("*/")):
            pieces.append(_tokens(inner))
        at, trims = match.end(), bool(match[3])
    rest = text[at:]
    _refuse_open(rest)
    pieces.append(rest.lstrip() if trims else rest)
    return pieces


def _refuse_open(text: str) -> None:
    if "{{" in text:
        raise TemplateError(f"unclosed action at '{text[text.index('{{') :][:40]}'")


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise TemplateError(f"unexpected '{text[at : at + 10]}' in {{{{{text[:60]}}}}}")
        found.append((match.lastgroup or "", match.group()))
        at = match.end()
    if not any(kind != "space" for kind, _ in found):
        raise TemplateError("missing value for command in {{}}")
    return found


class _Parser:
    def __init__(
        self, pieces: list[str | list[tuple[str, str]]], functions: Container[str], variables: Iterable[str]
    ) -> None:
        self._pieces = pieces
        self._at = 0
        self._functions = functions
        self._scopes: list[set[str]] = [{"$", *variables}]
        self._loops = 0
        self._parens = 0
        self.defined: dict[str, tuple[Any, ...]] = {}

    def nodes(self, until: tuple[str, ...], depth: int) -> tuple[tuple[Any, ...], str]:
        """The nodes up to one of the keywords `until`, and which it was ('' at the end of the text)."""
        if depth > DEEPEST:
            raise TemplateError(f"cannot read a template nested deeper than {DEEPEST}")
        found: list[Any] = []
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            self._at += 1
            if isinstance(piece, str):
                if piece:
                    found.append(Text(piece))
                continue
            kind, word = piece[0]
            keyword = word if kind == "word" and word in _KEYWORDS else ""
            if keyword in until or keyword in ("end", "else"):
                self._rest = piece[1:]
                return tuple(found), keyword
            node = (
                self._keyword(keyword, _Tokens(piece[1:]), depth) if keyword else Action(self._pipeline(_Tokens(piece)))
            )
            if node is not None:
                found.append(node)
        return tuple(found), ""

    def _keyword(self, keyword: str, tokens: _Tokens, depth: int) -> Any:
        if keyword in ("if", "with", "range"):
            return self._branch(keyword, tokens, depth)
        if keyword in ("break", "continue"):
            if not self._loops:
                raise TemplateError(f"{{{{{keyword}}}}} outside {{{{range}}}}")
            return Leave(keyword)
        tokens.skip()
        kind, text = tokens.take()
        if kind != "string":
            raise TemplateError(f"{{{{{keyword}}}}} needs a name in quotes")
        name = unquote(text)
        tokens.skip()
        if keyword == "template":
            return Call(name, self._pipeline(tokens) if tokens.is_left else None)
        pipeline = self._pipeline(tokens) if keyword == "block" else None
        body, end = self.nodes(("end",), depth + 1)
        if end != "end":
            raise TemplateError(f"{{{{{keyword} {text}}}}} is not closed; add {{{{end}}}}")
        self.defined[name] = body
        return Call(name, pipeline) if keyword == "block" else None

    def _branch(self, kind: str, tokens: _Tokens, depth: int) -> Branch:
        self._scopes.append(set())
        self._loops += kind == "range"
        pipeline = self._pipeline(tokens)
        body, end = self.nodes(("else", "end"), depth + 1)
        self._loops -= kind == "range"
        otherwise: tuple[Any, ...] = ()
        if end == "else":
            following = _Tokens(self._rest)
            following.skip()
            if following.is_left:
                _, word = following.take()
                if word not in ("if", "with"):
                    raise TemplateError(f"unexpected '{word}' after {{{{else}}}}")
                otherwise = (self._branch(word, following, depth + 1),)
                end = "end"
            else:
                otherwise, end = self.nodes(("end",), depth + 1)
        if end != "end":
            raise TemplateError(f"{{{{{kind}}}}} is not closed; add {{{{end}}}}")
        self._scopes.pop()
        return Branch(kind, pipeline, body, otherwise)

    def _pipeline(self, tokens: _Tokens, closes: str = "") -> Pipeline:
        targets, declares = self._targets(tokens)
        commands: list[tuple[Any, ...]] = []
        operands: list[Any] = []
        while True:
            had_space = tokens.skip()
            if not tokens.is_left:
                if closes:
                    raise TemplateError("unclosed left paren")
                break
            kind, text = tokens.take()
            if text == closes and kind == "sign":
                break
            if (kind, text) == ("sign", "|"):
                commands.append(self._command(operands))
                operands = []
                continue
            if kind == "field" and operands and not had_space:
                operands[-1] = _extended(operands[-1], text[1:])
                continue
            operands.append(self._operand(kind, text, tokens))
        commands.append(self._command(operands))
        for name in targets:
            if declares:
                self._scopes[-1].add(name)
        return Pipeline(tuple(commands), targets, declares)

    def _targets(self, tokens: _Tokens) -> tuple[tuple[str, ...], bool]:
        mark, names = tokens.at, []
        while True:
            tokens.skip()
            kind, text = tokens.take()
            if kind != "variable":
                break
            names.append(text)
            tokens.skip()
            kind, text = tokens.take()
            if kind == "sign" and text in (":=", "="):
                if text == "=" and not self._is_known(names[0]):
                    raise TemplateError(f'undefined variable "{names[0]}"')
                return tuple(names), text == ":="
            if (kind, text) != ("sign", ","):
                break
        tokens.at = mark
        return (), False

    @staticmethod
    def _command(operands: list[Any]) -> tuple[Any, ...]:
        if not operands:
            raise TemplateError("missing value for command")
        return tuple(operands)

    def _operand(self, kind: str, text: str, tokens: _Tokens) -> Any:
        match kind:
            case "string":
                return Literal(unquote(text))
            case "char":
                return Literal(ord(unquote(f'"{text[1:-1]}"')[0]))
            case "number":
                return Literal(_number(text))
            case "variable":
                if not self._is_known(text):
                    raise TemplateError(f'undefined variable "{text}"')
                return Variable(text)
            case "field":
                return Chain(Dot(), (text[1:],))
            case "dot":
                return Dot()
            case "word":
                if text in ("true", "false", "nil"):
                    return Literal({"true": True, "false": False, "nil": None}[text])
                if text not in self._functions:
                    raise TemplateError(f'function "{text}" not defined')
                return Function(text)
        if text == "(":
            self._parens += 1
            if self._parens > DEEPEST:
                raise TemplateError(f"cannot read a template nested deeper than {DEEPEST}")
            inner = self._pipeline(tokens, closes=")")
            self._parens -= 1
            return inner
        raise TemplateError(f"unexpected '{text}' in command")

    def _is_known(self, name: str) -> bool:
        return any(name in scope for scope in self._scopes)


class _Tokens:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self.at = 0

    @property
    def is_left(self) -> bool:
        return self.at < len(self._tokens)

    def skip(self) -> bool:
        had = False
        while self.is_left and self._tokens[self.at][0] == "space":
            self.at += 1
            had = True
        return had

    def take(self) -> tuple[str, str]:
        if not self.is_left:
            return "", ""
        self.at += 1
        return self._tokens[self.at - 1]


def _extended(operand: Any, name: str) -> Chain:
    return Chain(operand.of, (*operand.names, name)) if isinstance(operand, Chain) else Chain(operand, (name,))


def _number(text: str) -> int | float:
    bare = text.replace("_", "")
    try:
        return int(bare, 0)
    except ValueError:
        return float(bare)
