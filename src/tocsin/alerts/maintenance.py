"""Maintenance: a time in which alerts are kept and shown but nobody is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from tocsin.alerts.matcher_text import all_match
from tocsin.alerts.silence import compiled
from tocsin.model.silence import Maintenance


def maintenance_over(running: Iterable[Maintenance], labels: Mapping[str, str], now: datetime) -> str:
    """The id of a maintenance that holds back an alert with these labels; '' for none."""
    return next((one.id for one in running if one.is_on(now) and all_match(compiled(one.matchers), labels)), "")
