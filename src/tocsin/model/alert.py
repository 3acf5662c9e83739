"""Alerts as Prometheus and Alertmanager mean them: a label set that is firing since some time, and for whom."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from tocsin.model.labels import tenant_of
from tocsin.model.severity import SEVERITY_LABEL, Severity, severity_of

ALERT_NAME = "alertname"


@dataclass(frozen=True)
class Alert:
    """One alert as its source says it now. The labels are its identity: the same labels are the same alert.

    starts_at and ends_at are aware UTC; ends_at None: firing until its source says otherwise (Alertmanager's
    resolve_timeout then applies). is_until_told: the end is only when silence of its source counts as one.
    generator_url leads to what made it.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime = field(kw_only=True)
    ends_at: datetime | None = field(default=None, kw_only=True)
    is_until_told: bool = field(default=False, kw_only=True, compare=False)
    generator_url: str = field(default="", kw_only=True)

    @property
    def name(self) -> str:
        return self.labels.get(ALERT_NAME, "")

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that stand for the labels, the same over restarts."""
        return fingerprint_of(self.labels)

    @property
    def severity(self) -> Severity:
        return severity_of(self.labels.get(SEVERITY_LABEL, ""))

    @property
    def tenant(self) -> str:
        return tenant_of(self.labels)

    def is_resolved(self, now: datetime) -> bool:
        return self.ends_at is not None and self.ends_at <= now


def fingerprint_of(labels: Mapping[str, str]) -> str:
    text = "\0".join(part for pair in sorted(labels.items()) for part in pair)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
