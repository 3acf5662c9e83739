"""Labels of a series: which are valid, which tenant they name, and the id of the series they make."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

Labels = tuple[tuple[str, str], ...]
"""(name, value) sorted by name, `__name__` among them."""

METRIC_NAME = "__name__"

# In a matcher: the environment a series was sent from. OpenTelemetry says it once per sender, not on each series.
ENVIRONMENT = "__environment__"

# Where a sender may say whose samples these are, best first; the dotted names are OpenTelemetry's.
TENANT_LABELS = ("tocsin.tenant", "tocsin_tenant", "tenant.id", "tenant_id", "tenant")

_UNESCAPED = re.compile(r"[^a-zA-Z0-9_]")


def series_id(tenant: str, labels: Labels, *, is_delta: bool = False) -> int:
    """64 bits that stand for a series; the same labels with the other temporality are another one."""
    text = "\0".join([part for pair in labels for part in pair])
    return int.from_bytes(
        hashlib.sha256(f"{tenant}\0{'delta' if is_delta else ''}\0{text}".encode()).digest()[:8], "little"
    )


def tenant_of(labels: Mapping[str, str]) -> str:
    """The tenant that labels name; '' for none."""
    return next((labels[name] for name in TENANT_LABELS if labels.get(name)), "")


def escaped(name: str) -> str:
    """A name with underscores for whatever classic Prometheus names do not have."""
    safe = _UNESCAPED.sub("_", name)
    return f"_{safe}" if safe[:1].isdigit() else safe
