"""SQL statements without their literals: what makes two of them equal, what they do, and to which table.

Source of the shape: OpenTelemetry's semantic conventions for database spans (`db.query.text` sanitised,
`db.operation.name`, `db.collection.name`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple

_TEXT_CHARACTERS = 2048

# One token each; what is not named here passes on as it is. Quotes that never end hide all that follows.
_STANDARD = r"""
    (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
  | (?P<literal>
        [eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)
      | (?:[nNxXbB]|[uU]&)?'(?:[^']|'')*(?:'|\Z)
      | \$(?P<tag>[A-Za-z_]*)\$.*?(?:\$(?P=tag)\$|\Z)
      | (?<![\w.$\]"`])(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)(?![\w])
    )
  | (?P<parameter>
        __\[POSTCOMPILE_[^\]]*\] | %\(\w+\)s | %s | \$\d+ | (?<![:\w]):[A-Za-z_]\w* | \?
    )
  | (?P<quoted> "(?:[^"]|"")*(?:"|\Z) | `(?:[^`]|``)*(?:`|\Z) | \[[A-Za-z_][\w ]*\] )
  | (?P<word> [A-Za-z_\x80-\uffff][\w$]* )
  | (?P<space> \s+ )
  | (?P<other> :: | . )
"""
_TOKENS = re.compile(_STANDARD, re.VERBOSE | re.DOTALL)
# MySQL and MariaDB: backslashes escape, and double quotes are strings.
_MYSQL_TOKENS = re.compile(
    _STANDARD.replace(
        "(?:[nNxXbB]|[uU]&)?'(?:[^']|'')*(?:'|\\Z)",
        "(?:[nNxXbB]|_\\w+\\s*)?'(?:[^'\\\\]|\\\\.|'')*(?:'|\\Z) | \"(?:[^\"\\\\]|\\\\.|\"\")*(?:\"|\\Z)",
    ).replace("--[^\\n]*", "--[^\\n]* | \\#[^\\n]*"),
    re.VERBOSE | re.DOTALL,
)
# (?, ?, ?) in IN and VALUES becomes (?), however many there are; so do equal rows of VALUES.
_LIST = re.compile(r"\(\s*(?:-?\s*\?(?:::\w+)?\s*,\s*)*-?\s*\?(?:::\w+)?\s*\)")
_ROWS = re.compile(r"(\bVALUES\s*)(\([^()]*\))(?:\s*,\s*\([^()]*\))+", re.IGNORECASE)
_VERBS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE"})
_BEFORE_TABLE = frozenset({"FROM", "INTO", "UPDATE", "JOIN", "TABLE"})
_NO_TABLE = frozenset({"ONLY", "IF", "EXISTS", "NOT", "LATERAL", "LOW_PRIORITY", "IGNORE", "SET", "SELECT", "OR"})


class Fingerprint(NamedTuple):
    """text: the statement with ? for every literal and parameter. table: the first it names, '' for none."""

    text: str
    digest: str
    operation: str
    table: str


def fingerprint(statement: str, *, mysql: bool = False) -> Fingerprint:
    """What is equal between statements that differ in their values only."""
    reader = _Reader()
    for kind, token in tokens(statement, mysql=mysql):
        reader.read(kind, token)
    text = _LIST.sub("(?)", "".join(reader.parts).strip())
    text = _ROWS.sub(r"\1\2", text)[:_TEXT_CHARACTERS]
    digest = hashlib.blake2s(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return Fingerprint(text, digest, reader.operation, reader.table)


def tokens(statement: str, *, mysql: bool = False) -> Iterator[tuple[str, str]]:
    """Each token's kind (comment, literal, parameter, quoted, word, space or other) and text."""
    for match in (_MYSQL_TOKENS if mysql else _TOKENS).finditer(statement):
        kind = match.lastgroup or ""
        yield "literal" if kind == "tag" else kind, match[0]


class _Reader:
    """Puts the tokens of a statement together again, and remembers verb and table on the way."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.operation = self.table = ""
        self._depth, self._table_depth = 0, 1 << 30
        self._awaits_table = self._is_qualified = False

    def read(self, kind: str, token: str) -> None:
        if kind in ("comment", "space"):
            if self.parts and self.parts[-1] != " ":
                self.parts.append(" ")
            return
        is_value = kind in ("literal", "parameter")
        self.parts.append("?" if is_value else token)
        word = token.upper() if kind == "word" else ""
        if word:
            self._read_verb(word)
        self._depth += (token == "(") - (token == ")")
        self._read_table("" if is_value else kind, token, word)

    def _read_verb(self, word: str) -> None:
        is_main = self.operation == "WITH" and self._depth == 0 and word in _VERBS
        if not self.operation or is_main:
            self.operation = word

    def _read_table(self, kind: str, token: str, word: str) -> None:
        """The table named at the outermost level, there the first; `a.b` are one name."""
        if self._awaits_table and kind in ("word", "quoted") and word not in _NO_TABLE:
            name = token.strip('"`[]')
            self.table = f"{self.table}{name}" if self._is_qualified else name
            self._table_depth = self._depth
            self._awaits_table, self._is_qualified = False, True
            return
        if self._is_qualified and token == ".":
            self.table, self._awaits_table = f"{self.table}.", True
            return
        self._is_qualified = False
        if not kind or kind == "other":
            self._awaits_table = False
        if word in _BEFORE_TABLE and self._depth < self._table_depth:
            self._awaits_table = True


def without_literals(text: str, *, mysql: bool = False) -> str:
    """Any piece of SQL, such as a condition in a plan, with ? for literals."""
    return fingerprint(text, mysql=mysql).text
