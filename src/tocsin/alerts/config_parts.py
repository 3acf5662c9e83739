"""What reading an alertmanager.yml is made of: values of their kinds, and faults with their lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.alerts.matcher_text import MatcherError, read_matchers
from tocsin.model.yaml_text import Path, Plain, Problem
from tocsin.query.promql.literals import parse_duration_ms
from tocsin.query.promql.matchers import Matcher, PatternError


@dataclass(slots=True)
class Reader:
    """Collects every fault instead of stopping at the first; `ignored` are sentences for the report."""

    plain: Plain
    problems: list[Problem] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def fault(self, path: Path, message: str) -> None:
        self.problems.append(self.plain.problem(path, message))

    def line(self, path: Path) -> int:
        return self.plain.lines.get(path, 0)

    def only_known(self, plain: Mapping[str, Any], path: Path, known: set[str]) -> None:
        for key in plain:
            if key not in known:
                self.fault((*path, key), f"there is no such key; known are {', '.join(sorted(known))}")

    def mapping(self, value: Any, path: Path) -> Mapping[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fault(path, "it is no mapping")
            return {}
        return value

    def listed(self, value: Any, path: Path) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            self.fault(path, "it is no list")
            return []
        return value

    def flag(self, plain: Mapping[str, Any], path: Path, key: str) -> bool:
        value = plain.get(key, False)
        if not isinstance(value, bool):
            self.fault((*path, key), f"{value!r} is neither true nor false")
            return False
        return value

    def seconds(self, plain: Mapping[str, Any], path: Path, key: str, inherited: float, least: float = 0.0) -> float:
        """A duration such as 30s or 4h; what is not given is inherited."""
        if plain.get(key) is None:
            return inherited
        try:
            given = parse_duration_ms(str(plain[key])) / 1000
        except ValueError:
            self.fault((*path, key), f"{plain[key]!r} is no duration such as 30s or 4h")
            return inherited
        if given < least:
            self.fault((*path, key), "it cannot be zero; leave it out for the default")
        return given

    def matchers(self, plain: Mapping[str, Any], path: Path, equal: str, pattern: str, texts: str) -> list[Matcher]:
        """From the older mappings of labels (`equal`, `pattern`) and from lists of texts."""
        found: list[Matcher] = []
        for name, value in self.mapping(plain.get(equal), (*path, equal)).items():
            found.append(Matcher(name, "=", _text(value)))
        for name, value in self.mapping(plain.get(pattern), (*path, pattern)).items():
            try:
                # Written out, because Alertmanager's keys of groups have these so.
                found.append(Matcher(name, "=~", f"^(?:{_text(value)})$"))
            except PatternError as error:
                self.fault((*path, pattern, name), str(error))
        for place, text in enumerate(self.listed(plain.get(texts), (*path, texts))):
            try:
                found += read_matchers(str(text))
            except MatcherError as error:
                self.fault((*path, texts, place), str(error))
        return found


def _text(value: Any) -> str:
    """A scalar as it was meant: YAML reads `true` and `1` as something else than text."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
