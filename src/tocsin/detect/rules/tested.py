"""Which unit tests of the shipped packs speak of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tocsin.model.yaml_text import read_yaml


@dataclass(frozen=True, slots=True)
class TestCase:
    """A test of one alert. fires: for how many label sets it has to."""

    file: str
    name: str
    eval_time: str
    fires: int


@cache
def _documents() -> tuple[tuple[str, Any], ...]:
    folder = Path(str(files("tocsin.detect") / "packs" / "tests"))
    return tuple(
        (path.name, read_yaml(path.read_text("utf-8"), path.name).value) for path in sorted(folder.glob("*.yaml"))
    )


def cases_of(file: str, alert: str) -> list[TestCase]:
    """file: as rules call it, `packs/hosts`."""
    wanted = f"../{file.removeprefix('packs/')}.yaml"
    return [
        TestCase(name, test["name"], str(one["eval_time"]), len(one["exp_alerts"]))
        for name, document in _documents()
        if wanted in document["rule_files"]
        for test in document["tests"]
        for one in test["alert_rule_test"]
        if one["alertname"] == alert
    ]
