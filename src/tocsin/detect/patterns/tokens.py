"""The words of a line: which are surely values, and which may be values or may be what the line is about.

Everything here is a function of the line's shape alone, so that lines of one shape have the same words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import IntEnum

from tocsin.model.log_shape import VALUE

ANY = "<*>"
"""What stands in a template for a value."""

MOST_WORDS = 60

_OPENING, _CLOSING = "([{<\"'`", ")]}>\"'`,;:.!?"
_PAIR = re.compile(rf"([A-Za-z_@][\w.@{VALUE}-]*)(?:=.*|:[^:A-Za-z/]*{VALUE}[^:A-Za-z/]*)", re.ASCII)
# msg="…" as logfmt writes it, "msg":"…" as JSON.
_SENTENCE_KEY = re.compile(r'\b(?:msg|message|event)(?:=|":\s*)"((?:[^"\\]|\\.)*)"')
_HOST = re.compile(
    r"[\w-]+(?:\.[\w-]+)*\.(?:com|net|org|edu|gov|mil|int|io|dev|app|info|local|lan|internal|[a-z]{2})", re.ASCII
)
_WORD_AND_NUMBER = re.compile(rf"[A-Za-z][A-Za-z_.$()\[\]-]+{VALUE}[A-Za-z_.$()\[\]-]*", re.ASCII)
_CONSTANTS = {"true", "false", "null", "none", "nil", "yes", "no", "n/a", "undefined", "-"}
# A noun after which a name follows: user alice, host db-a, queue mails.
_NAMERS = frozenset((
    "user", "username", "login", "account", "tenant", "customer", "client", "org", "organization", "organisation",
    "company", "team", "member", "owner", "host", "hostname", "server", "node", "instance", "machine", "domain",
    "address", "device", "interface", "database", "schema", "table", "collection", "index", "queue", "topic",
    "channel", "stream", "bucket", "key", "cache", "file", "filename", "path", "directory", "folder", "dir",
    "volume", "disk", "partition", "mount", "job", "task", "worker", "process", "thread", "container", "image",
    "pod", "deployment", "namespace", "cluster", "component", "plugin", "package", "library", "repository",
    "branch", "flag", "feature", "variant", "session", "name", "named", "called", "email", "mail", "id", "uuid",
    "token", "region", "zone", "country", "city", "locale", "currency", "category", "tag", "label", "product",
    "sku", "coupon", "plan",
))  # fmt: skip
_PROSE = frozenset((
    "a", "an", "the", "not", "no", "to", "from", "in", "into", "on", "onto", "at", "for", "of", "with", "without",
    "and", "or", "but", "by", "via", "is", "are", "was", "were", "be", "been", "being", "has", "have", "had", "do",
    "does", "did", "will", "would", "can", "could", "cannot", "may", "must", "shall", "should", "this", "that",
    "these", "those", "it", "its", "as", "if", "then", "else", "when", "while", "after", "before", "during",
    "until", "since", "because", "than", "too", "very", "all", "any", "some", "none", "more", "most", "less",
    "least", "only", "again", "already", "still", "up", "down", "out", "off", "over", "under",
))  # fmt: skip
_VERBS = frozenset((
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "DEBUG", "INFO", "NOTICE", "WARN",
    "WARNING", "ERROR", "CRITICAL", "FATAL", "SELECT", "INSERT", "UPDATE", "begin", "began", "end", "start", "stop",
    "open", "close", "read", "write", "send", "sent", "receive", "failure", "success", "error", "warning",
))  # fmt: skip


class Kind(IntEnum):
    """How likely a word is a value."""

    KEYWORD = 0
    """Says what happened; two lines that differ in it are different patterns."""
    UNSURE = 1
    """A value if it turns out to have several."""
    VALUE = 2


def words_of(shape: str) -> list[str]:
    """The words of a line; a value is `<*>`, alone or with what surrounds it; a list of values alike is one."""
    if found := _SENTENCE_KEY.search(shape):
        shape = found[1] or shape
    words: list[str] = []
    before = ""
    for token in shape.split(None, MOST_WORDS)[:MOST_WORDS]:
        word = _masked(token)
        if not (token == before and ANY in word):
            words.append(word)
        before = token
    return words


def _masked(token: str) -> str:
    head, core, tail = _bare(token)
    pair = _PAIR.fullmatch(core)
    if pair is not None and "://" not in pair[1]:
        return f"{head}{pair[1].replace(VALUE, ANY)}{core[len(pair[1])]}{ANY}{tail}"
    if not core:
        return token
    if VALUE in core:
        if _WORD_AND_NUMBER.fullmatch(core):
            return head + core.replace(VALUE, ANY) + tail
        return head + ANY + tail
    is_quoted = head and head[-1] in "\"'`" and tail[:1] == head[-1]
    if is_quoted and tail == '":':
        return token  # the name of a field in JSON
    if _is_place(core) or is_quoted:
        return head + ANY + tail
    return token


def _is_place(core: str) -> bool:
    """Whether a word is a path, an address or the name of a machine."""
    if "/" in core:
        return core.startswith(("/", "~", "./", "../")) or core.count("/") > 1 or "://" in core
    return "@" in core.strip("@") or ("." in core and core.islower() and bool(_HOST.fullmatch(core)))


def _bare(token: str) -> tuple[str, str, str]:
    """The word with what stands before and after it."""
    start, end = 0, len(token)
    while start < end and token[start] in _OPENING:
        start += 1
    while end > start and token[end - 1] in _CLOSING:
        end -= 1
    if token[start:end].endswith("(") or (token[end : end + 1] == ")" and "(" in token[start:end]):
        end += 1  # a call keeps its bracket
    return token[:start], token[start:end], token[end:]


def kind_of(word: str, before: str) -> Kind:
    """How likely a word is a value, by itself and by the word before it."""
    _, core, _ = _bare(word)
    if ANY in word:
        return Kind.UNSURE if _bare(word.replace(ANY, ""))[1].isalpha() and "=" not in word else Kind.VALUE
    lower, noun = core.lower(), _bare(before)[1].lower()
    if not core:
        return Kind.KEYWORD
    if lower in _CONSTANTS or not any(map(str.isalpha, core)) or len(core) == 1 or "(" in core.rstrip("()"):
        return Kind.VALUE
    if core in _VERBS or lower in _PROSE:
        return Kind.KEYWORD
    is_verb = lower.endswith(("ed", "ing")) and len(core) > 4
    if noun in _NAMERS or before.endswith("="):
        return Kind.KEYWORD if is_verb else Kind.VALUE
    if any(sign in core[1:-1] for sign in "._-:@$\\|") and not core.endswith("()"):
        return Kind.UNSURE if word.endswith(":") else Kind.VALUE
    if is_verb or (word.endswith(":") and noun not in _PROSE):
        return Kind.KEYWORD
    return Kind.UNSURE


def template_of(words: Sequence[str]) -> str:
    return " ".join(words)
