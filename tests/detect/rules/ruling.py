"""What tests of rules share: an engine over series in memory, with a clock that is turned and a real control store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tocsin.detect.rules.engine import RuleEngine
from tocsin.detect.rules.evaluation import Written
from tocsin.detect.settings import RuleSettings
from tocsin.model.alert import Alert
from tocsin.query.promql.source import MemorySource, Series
from tocsin.storage.control import ControlStore

START = 1_700_000_040.0


class Bench:
    """An engine whose alerts land in `told`, those that fire without an end.

    `at` turns the clock to a second after START and evaluates.
    """

    def __init__(self, folder: Path, control: ControlStore, **settings: object) -> None:
        self.folder = folder
        self.source = MemorySource()
        self.told: list[Alert] = []
        self.seconds = 0.0
        self.is_sink_down = False
        asked = RuleSettings(folder=str(folder), is_packs_on=False, **settings)  # type: ignore[arg-type]
        self.engine = RuleEngine(
            asked, control.rules, lambda tenant: self.source, self.write, self.take, clock=lambda: START + self.seconds
        )

    def write(self, written: Sequence[Written]) -> None:
        for one in written:
            self.source.series = [*self.source.series, _series(one)]

    def take(self, alerts: Sequence[Alert]) -> None:
        if self.is_sink_down:
            raise OSError("the pipeline is down")
        now = datetime.fromtimestamp(START + self.seconds, UTC)
        self.told += [alert if alert.is_resolved(now) else replace(alert, ends_at=None) for alert in alerts]

    def gauge(self, name: str, value: float, until: float = 3600.0, **labels: str) -> None:
        points = [(round((START + second) * 1000), value) for second in range(0, int(until), 15)]
        self.source.add({"__name__": name, **labels}, points)

    def at(self, seconds: float) -> list[Alert]:
        """What is newly told."""
        before = len(self.told)
        self.seconds = seconds
        self.engine.evaluate_due()
        return self.told[before:]

    def state(self, name: str) -> str:
        return next(one.state for run in self.engine.groups for one in run.states if one.rule.name == name)


def _series(one: Written) -> Series:
    return Series(dict(one.labels), np.array([one.time_ms]), np.array([one.value]))


@contextmanager
def bench(folder: Path, text: str, seconds: float = 0.0, **settings: object) -> Iterator[Bench]:
    """Its clock begins so many seconds after START. The same folder again is the server after a restart."""
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    (rules / "a.yaml").write_text(text)
    control = ControlStore.open(f"sqlite:///{folder}/control.db")
    made = Bench(rules, control, **settings)
    made.seconds = seconds
    made.engine.reload()
    yield made
    made.engine.close()
    control.close()
