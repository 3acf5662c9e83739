"""Prometheus' relabelling: rules that rename, keep and drop targets and series by their labels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import re2

ACTIONS = (
    "replace", "keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase",
    "uppercase",
)  # fmt: skip
_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")


class RelabelError(ValueError):
    """A rule cannot be used."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of relabel_configs."""

    action: str
    sources: tuple[str, ...]
    separator: str
    target: str
    replacement: str
    modulus: int
    regex: Any  # compiled, matching whole texts

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Rule:
        """As prometheus.yml writes it. Raises RelabelError."""
        action = str(entry.get("action", "replace")).lower()
        if action not in ACTIONS:
            raise RelabelError(f"cannot relabel with action {action!r}; there are {', '.join(ACTIONS)}")
        unknown = set(entry) - {
            "action", "source_labels", "separator", "target_label", "replacement", "modulus", "regex",
        }  # fmt: skip
        if unknown:
            raise RelabelError(f"cannot use {sorted(unknown)[0]!r} in a relabelling rule; remove it")
        needs_target = action in ("replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal")
        if needs_target and not entry.get("target_label"):
            raise RelabelError(f"cannot relabel with action {action!r}: it needs a target_label")
        modulus = int(entry.get("modulus", 0))
        if action == "hashmod" and modulus < 1:
            raise RelabelError("cannot relabel with action 'hashmod': it needs a modulus of 1 or more")
        return cls(
            action,
            tuple(str(name) for name in entry.get("source_labels") or ()),
            str(entry.get("separator", ";")),
            str(entry.get("target_label", "")),
            str(entry.get("replacement", "$1")),
            modulus,
            _compiled(str(entry.get("regex", "(.*)"))),
        )


def relabelled(labels: Mapping[str, str], rules: Sequence[Rule]) -> dict[str, str] | None:
    """The labels after all rules; None when one of them drops what they stand for."""
    current = dict(labels)
    for rule in rules:
        if not _apply(rule, current):
            return None
    return {name: value for name, value in current.items() if value}


def _apply(rule: Rule, labels: dict[str, str]) -> bool:
    """Change `labels`; False drops them."""
    text = rule.separator.join(labels.get(name, "") for name in rule.sources)
    action = rule.action
    if action == "keep":
        return rule.regex.fullmatch(text) is not None
    if action == "drop":
        return rule.regex.fullmatch(text) is None
    if action in ("keepequal", "dropequal"):
        return (labels.get(rule.target, "") == text) == (action == "keepequal")
    if action == "replace":
        found = rule.regex.fullmatch(text)
        if found is not None:
            labels[_expanded(rule.target, found)] = _expanded(rule.replacement, found)
    elif action == "hashmod":
        digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
        labels[rule.target] = str(int.from_bytes(digest[8:], "big") % rule.modulus)
    elif action in ("lowercase", "uppercase"):
        labels[rule.target] = text.lower() if action == "lowercase" else text.upper()
    else:
        _change_names(rule, labels)
    return True


def _change_names(rule: Rule, labels: dict[str, str]) -> None:
    for name in list(labels):
        found = rule.regex.fullmatch(name)
        if rule.action == "labelmap" and found is not None:
            labels[_expanded(rule.replacement, found)] = labels[name]
        elif (rule.action == "labeldrop" and found is not None) or (rule.action == "labelkeep" and found is None):
            del labels[name]


def _expanded(template: str, found: Any) -> str:
    """With $1, ${1} and ${name} filled in, as Go does; what the expression does not have is ''."""

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return found.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError, re2.error):
            return ""

    return _REFERENCE.sub(group, template)


def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(f"(?s:{pattern})")
    except re2.error as error:
        raise RelabelError(f"cannot use regex {pattern!r}: {error}") from error
