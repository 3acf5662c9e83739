"""Silences and maintenance: for which alerts nobody is told, from when until when, who wanted it and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class LabelMatcher:
    """One condition on a label in Alertmanager's terms: (=, !=, =~, !~) as two flags."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def plain(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "isRegex": self.is_regex, "isEqual": self.is_equal}

    def __str__(self) -> str:
        sign = ("=" if self.is_equal else "!") + ("~" if self.is_regex else "" if self.is_equal else "=")
        return f'{self.name}{sign}"{self.value}"'


SilenceState = Literal["pending", "active", "expired"]


@dataclass(frozen=True, slots=True)
class Silence:
    """All matchers must match. A silence that is over stays listed for some days."""

    id: str
    matchers: tuple[LabelMatcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    updated_at: datetime

    def state(self, now: datetime) -> SilenceState:
        if now < self.starts_at:
            return "pending"
        return "active" if now < self.ends_at else "expired"


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A time in which what fires is noted and not told; no matchers: everything. ended_by: who ended it early."""

    id: str
    starts_at: datetime
    ends_at: datetime
    created_by: str
    reason: str
    matchers: tuple[LabelMatcher, ...] = ()
    ended_by: str = ""

    def is_on(self, now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at
