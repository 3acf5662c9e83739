"""Samples of rules on their way into the store: through ingest's gate, like everybody's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tocsin.detect.rules.engine import Write
from tocsin.detect.rules.evaluation import Written
from tocsin.ingest.gate import Refused
from tocsin.ingest.scraped import ScrapedSample, read_scraped

Submit = Callable[..., tuple[Any, Any]]
"""`Gate.admit_samples`."""


def writer_to(submit: Submit) -> Write:
    def write(written: Sequence[Written]) -> None:
        samples = [ScrapedSample(tuple(sorted(one.labels.items())), one.value, one.time_ms) for one in written]
        try:
            _, collected = submit(read_scraped, (samples, {}), None, needs_allowance=False)
        except Refused as refused:
            raise OSError(refused.message) from refused
        if collected.problems:
            raise OSError(collected.explanation)

    return write
