"""The synthetic alert that proves the path from an event to a receipt: how it is told from others."""

from __future__ import annotations

from collections.abc import Mapping

CHECK = "TocsinPathCheck"
CHECK_LABEL = "tocsin_path_check"
"""Its label; a route that matches it leads to notify.test_receiver."""


def is_check(labels: Mapping[str, str]) -> bool:
    """Nothing is wrong then: no list counts it, and nothing holds it back, be it maintenance."""
    return CHECK_LABEL in labels
