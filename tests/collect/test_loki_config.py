"""The retention of a loki-config.yml holds for logs here, unless logs have one of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.app.settings import configuration
from tocsin.collect.loki_config import LokiConfigError, load_loki_retention
from tocsin.config import ConfigError
from tocsin.storage.telemetry.retention import RetentionSettings

USUAL = """
auth_enabled: false
server: {http_listen_port: 3100}
schema_config: {configs: [{from: 2020-10-24, store: boltdb-shipper}]}
compactor: {retention_enabled: true}
limits_config: {retention_period: 744h, reject_old_samples: true}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "loki-config.yml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "hours", "ignored"),
    [
        (USUAL, 744, ""),
        ("table_manager: {retention_deletes_enabled: true, retention_period: 30d}", 720, ""),
        ("limits_config: {retention_period: 744h}", None, "it is switched off there"),
        ("compactor: {retention_enabled: true}\nlimits_config: {retention_period: 0s}", None, ""),
        ("{}", None, ""),
        (USUAL + "overrides: {acme: {}}", 744, "all tenants' logs are kept equally long"),
        (USUAL.replace("744h,", "744h, retention_stream: [{}],"), 744, "retention_stream"),
    ],
)
def test_retention_is_found(tmp_path: Path, text: str, hours: float | None, ignored: str) -> None:
    found = load_loki_retention(written(tmp_path, text))
    assert found.hours == hours
    assert bool(found.ignored) is bool(ignored)
    assert ignored in "".join(found.ignored)


@pytest.mark.parametrize("text", ["- a", "a: [", USUAL.replace("744h", "soon"), "limits_config: [x]"])
def test_a_file_that_cannot_be_used_stops_the_start(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(LokiConfigError, match="cannot "):
        load_loki_retention(path)
    with pytest.raises(ConfigError, match="cannot "):
        configuration({"retention.loki_file": str(path)})


def test_it_holds_unless_logs_have_one_of_their_own(tmp_path: Path) -> None:
    path = str(written(tmp_path, USUAL))
    for overrides, hours, origin in (
        ({}, 744, "loki-config.yml"),
        ({"preset": "development"}, 744, "loki-config.yml"),
        ({"retention.logs_hours": 48}, 48, "command line"),
    ):
        config = configuration({"retention.loki_file": path, **overrides})
        assert config[RetentionSettings].logs_hours == hours
        assert config.origins["retention", "logs_hours"] == origin
