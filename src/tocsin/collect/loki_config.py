"""How long a loki-config.yml keeps logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tocsin.collect.scrape_config import seconds_of


class LokiConfigError(Exception):
    """The file cannot be used; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class LokiRetention:
    """hours None: the file sets no end. `ignored` is what of it is not carried out, a sentence each."""

    hours: float | None
    ignored: tuple[str, ...]


def load_loki_retention(path: Path) -> LokiRetention:
    """Raises LokiConfigError."""
    try:
        document = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LokiConfigError(f"cannot read Loki configuration '{path}': {error}; correct it there") from error
    if not isinstance(document, dict):
        raise LokiConfigError(f"cannot use Loki configuration '{path}': it is no mapping; see loki-config.yml")
    try:
        return _retention(document)
    except (ValueError, TypeError, AttributeError) as error:
        raise LokiConfigError(f"cannot use Loki configuration '{path}': {error}; correct it there") from error


def _retention(document: Mapping[str, Any]) -> LokiRetention:
    limits = document.get("limits_config") or {}
    compactor = document.get("compactor") or {}
    tables = document.get("table_manager") or {}
    ignored = []
    if limits.get("retention_stream"):
        ignored.append("limits_config.retention_stream: all logs are kept equally long")
    if limits.get("per_tenant_override_config") or document.get("overrides"):
        ignored.append("overrides of tenants: all tenants' logs are kept equally long")
    if compactor.get("retention_enabled"):
        period = limits.get("retention_period")
    elif tables.get("retention_deletes_enabled"):
        period = tables.get("retention_period")
    else:
        if limits.get("retention_period") or tables.get("retention_period"):
            ignored.append(
                "retention_period: it is switched off there (compactor.retention_enabled), so Loki deletes nothing"
            )
        period = None
    seconds = seconds_of(period) if period not in (None, 0, "0") else 0.0
    return LokiRetention(seconds / 3600 if seconds else None, tuple(ignored))
