"""Settings come from defaults, file, environment and command line, in that order, with their origin."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from tocsin.app.settings import PRESETS as SERVER_PRESETS
from tocsin.app.settings import SECTIONS as SERVER_SECTIONS
from tocsin.config import Config, ConfigError, explain, load, preset_reference, reference
from tocsin.model.settings import Alias, ByName, Preset, setting
from tocsin.sdk.settings import PRESETS as SDK_PRESETS
from tocsin.sdk.settings import VARIABLES as SDK_VARIABLES


class Mode(StrEnum):
    FAST = "fast"
    SAFE = "safe"


@dataclass(frozen=True)
class Server:
    host: str = setting("127.0.0.1", help="Address to listen on.")
    port: int = setting(4318, help="Port to listen on.", env=("TOCSIN_PORT",))
    data: Path = setting(Path("tocsin-data"), help="Folder of all state.", env=("TOCSIN_DATA",))
    enabled: bool = setting(True, help="Off to stop.", env=("MONITORING_SERVER",))
    channels: tuple[str, ...] = setting(("log",), help="Where alerts go.", env=("ALERT_CHANNELS",))
    mode: Mode = setting(Mode.SAFE, help="How to run.")
    token: str | None = setting(None, help="Administrator's token.", env=("TOCSIN_ADMIN_TOKEN",), secret=True)


@dataclass(frozen=True)
class Retention:
    spans_days: float = setting(
        30.0, help="How long spans stay.", unit="days", env=(Alias("METRICS_RETENTION_HOURS", "hours"),)
    )
    sweep_seconds: float = setting(60.0, help="How often to look.", unit="seconds")
    by_tenant: ByName = setting((), help="Other times for tenants.", unit="days")
    body_bytes: int = setting(64_000_000, help="Largest body.", unit="bytes")

    def __post_init__(self) -> None:
        if self.spans_days <= 0:
            raise ValueError("spans_days must be above 0; name a number of days")


SECTIONS: dict[str, type] = {"server": Server, "retention": Retention}
PRESETS = {
    "large": Preset("Many.", {"server.port": 80, "server.mode": "fast", "retention.sweep_seconds": "5m"}),
    "small": Preset("Few.", {"server.port": 8080}),
}


def filled(tmp_path: Path, toml: str | None = None, environ: dict[str, str] | None = None, **overrides: Any) -> Config:
    path = None
    if toml is not None:
        path = tmp_path / "tocsin.toml"
        path.write_text(toml)
    options = {name.replace("__", "."): raw for name, raw in overrides.items()}
    return load(SECTIONS, path, environ or {}, options, PRESETS)


def faults(tmp_path: Path, **sources: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        filled(tmp_path, **sources)
    return str(caught.value)


def test_defaults_stand_when_nothing_is_given(tmp_path: Path) -> None:
    config = filled(tmp_path)
    assert config[Server] == Server()
    assert set(config.origins.values()) == {"default"}


def test_later_source_wins_and_origin_is_remembered(tmp_path: Path) -> None:
    toml = '[server]\nhost = "0.0.0.0"\nport = 1\nmode = "fast"\n'
    config = filled(tmp_path, toml, {"TOCSIN_SERVER_PORT": "2", "TOCSIN_SERVER_MODE": "safe"}, server__port=3)
    assert (config[Server].host, config[Server].port, config[Server].mode) == ("0.0.0.0", 3, Mode.SAFE)
    assert config.origins["server", "host"] == "tocsin.toml line 2"
    assert config.origins["server", "mode"] == "environment TOCSIN_SERVER_MODE"
    assert config.origins["server", "port"] == "command line"


def test_preset_fills_what_nothing_else_sets(tmp_path: Path) -> None:
    config = filled(tmp_path, '[server]\nmode = "safe"\n', {"TOCSIN_PRESET": "large"})
    assert (config[Server].port, config[Server].mode, config[Retention].sweep_seconds) == (80, Mode.SAFE, 300)
    assert config.origins["server", "port"] == "preset large"
    assert config.origins["server", "mode"] == "tocsin.toml line 2"
    assert config.origins["server", "host"] == "default"
    overridden = filled(tmp_path, environ={"TOCSIN_PRESET": "large", "TOCSIN_PORT": "1"}, server__mode="safe")
    assert (overridden[Server].port, overridden[Server].mode) == (1, Mode.SAFE)


def test_preset_is_chosen_by_option_then_variable_then_file(tmp_path: Path) -> None:
    toml = '# sizes\npreset = "small"\n[server]\nhost = "::1"\n'
    environ = {"TOCSIN_PRESET": "large"}
    chosen = [
        filled(tmp_path, toml),
        filled(tmp_path, toml, environ),
        filled(tmp_path, toml, environ, preset="small"),
        filled(tmp_path, toml, environ, preset=None),
    ]
    assert [(row.value, row.origin) for row in (explain(config)[0] for config in chosen)] == [
        ("small", "tocsin.toml line 2"),
        ("large", "environment TOCSIN_PRESET"),
        ("small", "command line"),
        ("large", "environment TOCSIN_PRESET"),
    ]
    assert [config[Server].port for config in chosen] == [8080, 80, 8080, 80]


def test_unknown_preset_names_the_nearest(tmp_path: Path) -> None:
    told = faults(tmp_path, environ={"TOCSIN_PRESET": "larg"})
    assert told.startswith("cannot use preset 'larg' from environment TOCSIN_PRESET: there is no such preset")
    assert "did you mean large?" in told
    assert "there is no such preset" in faults(tmp_path, toml='preset = ["large"]\n')


def test_presets_of_the_server_can_be_loaded_and_have_the_names_of_the_sdk() -> None:
    assert set(SERVER_PRESETS) == set(SDK_PRESETS) == {"production", "development"}
    for name, preset in SERVER_PRESETS.items():
        config = load(SERVER_SECTIONS, None, {"TOCSIN_PRESET": name}, {}, SERVER_PRESETS)
        plain = load(SERVER_SECTIONS, None, {}, {}, SERVER_PRESETS)
        of_preset = {key for key, origin in config.origins.items() if origin == f"preset {name}"}
        assert of_preset == {tuple(dotted.split(".")) for dotted in preset.values}
        for section, field in of_preset:
            assert getattr(config.sections[section], field) != getattr(plain.sections[section], field)


def test_presets_are_shown_beside_the_defaults() -> None:
    text = preset_reference(SECTIONS, PRESETS)
    assert text.startswith("| setting | default | large | small |")
    assert "| `server.port` | `4318` | `80` | `8080` |" in text
    assert "| `retention.sweep_seconds` | `1m` | `5m` | `1m` |" in text
    assert "server.host" not in text


def test_option_that_was_not_given_changes_nothing(tmp_path: Path) -> None:
    assert filled(tmp_path, environ={"TOCSIN_PORT": "9"}, server__port=None)[Server].port == 9


def test_dotted_toml_key_has_its_line(tmp_path: Path) -> None:
    config = filled(tmp_path, "# a comment\nserver.port = 7\n")
    assert config.origins["server", "port"] == "tocsin.toml line 2"


def test_aliases_fill_their_setting(tmp_path: Path) -> None:
    environ = {"TOCSIN_DATA": "/srv/t", "ALERT_CHANNELS": "email, pushover", "MONITORING_SERVER": "off"}
    server = filled(tmp_path, environ=environ)[Server]
    assert (server.data, server.channels, server.enabled) == (Path("/srv/t"), ("email", "pushover"), False)


def test_full_name_wins_over_alias(tmp_path: Path) -> None:
    assert filled(tmp_path, environ={"TOCSIN_PORT": "1", "TOCSIN_SERVER_PORT": "2"})[Server].port == 2


def test_alias_in_another_unit_is_converted(tmp_path: Path) -> None:
    assert filled(tmp_path, environ={"METRICS_RETENTION_HOURS": "36"})[Retention].spans_days == 1.5
    assert filled(tmp_path, environ={"METRICS_RETENTION_HOURS": "7d"})[Retention].spans_days == 7


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("15m", 900), ("1h30m", 5400), ("30d", 2_592_000), ("5", 5), ("2.5s", 2.5)]
)
def test_durations_are_parsed(tmp_path: Path, text: str, seconds: float) -> None:
    assert filled(tmp_path, environ={"TOCSIN_RETENTION_SWEEP_SECONDS": text})[Retention].sweep_seconds == seconds


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("64MB", 64_000_000), ("64 mib", 67_108_864), ("1.5kB", 1500), ("9", 9)]
)
def test_sizes_are_parsed(tmp_path: Path, text: str, size_bytes: int) -> None:
    assert filled(tmp_path, f'[retention]\nbody_bytes = "{text}"\n')[Retention].body_bytes == size_bytes


def test_unknown_key_table_and_variable_name_the_nearest(tmp_path: Path) -> None:
    told = faults(tmp_path, toml="[server]\nprot = 1\n[retentoin]\n", environ={"TOCSIN_SERVER_HOTS": "x"})
    assert "no such key; did you mean server.port?" in told
    assert "no such table; did you mean [retention]?" in told
    assert "no such variable; did you mean TOCSIN_SERVER_HOST?" in told
    assert "no such setting; did you mean server.port?" in faults(tmp_path, server__prt=1)


def test_variables_of_the_sdk_and_of_commands_are_passed_over(tmp_path: Path) -> None:
    of_sdk = dict.fromkeys((SDK_VARIABLES | {"TOCSIN_API_TOKEN"}) - {"TOCSIN_PRESET"}, "1")
    assert {"TOCSIN_ENDPOINT", "TOCSIN_QUEUE_SPANS", "METRICS_SAMPLING_RATE"} <= set(of_sdk)
    assert set(filled(tmp_path, environ=of_sdk).origins.values()) == {"default"}
    assert filled(tmp_path, environ={"TOCSIN_ENDPOINT": "http://x", "TOCSIN_TENANT": "subdomain", "HOME": "/"})


def test_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    config = filled(tmp_path, environ={"TOCSIN_ADMIN_TOKEN": "", "TOCSIN_PORT": ""})
    assert (config[Server].token, config[Server].port) == (None, 4318)


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (
            '[server]\nport = "high"\n',
            "cannot use server.port = 'high' from tocsin.toml line 2: expected a whole number",
        ),
        ("[server]\nport = true\n", "expected a whole number"),
        ("[server]\nport = 1.5\n", "expected a whole number"),
        ("[server]\nhost = 5\n", "expected a text"),
        ("[server]\nenabled = 'maybe'\n", "expected true or false"),
        ("[server]\nmode = 'wild'\n", "expected one of fast, safe"),
        ("[server]\nchannels = [1]\n", "expected a list of texts"),
        ("[server.host]\nx = 1\n", "expected a text"),
        ("[retention]\nsweep_seconds = '5 parsecs'\n", 'expected a number of seconds or a duration such as "15m"'),
        ("[retention]\nsweep_seconds = -1\n", "not below 0"),
        ("[retention]\nsweep_seconds = nan\n", "expected a number of seconds"),
        ("[retention]\nbody_bytes = []\n", 'expected a number of bytes or a size such as "64MB"'),
        ("[retention]\nspans_days = 0\n", "spans_days must be above 0"),
        ("server = 1\n", "no such table"),
        ("[server\n", "correct the TOML there"),
    ],
)
def test_wrong_value_says_what_is_expected(tmp_path: Path, toml: str, expected: str) -> None:
    assert expected in faults(tmp_path, toml=toml)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load(SECTIONS, tmp_path / "nowhere.toml", {}, {})


def test_secrets_are_masked_wherever_printed(tmp_path: Path) -> None:
    config = filled(tmp_path, environ={"TOCSIN_ADMIN_TOKEN": "s3cret"})
    assert config[Server].token == "s3cret"
    rows = {row.name: row for row in explain(config)}
    assert rows["token"].value == "********"
    assert "s3cret" not in repr(config)
    assert "s3cret" not in faults(tmp_path, toml='[server]\ntoken = ["s3cret"]\n')


def test_explain_prints_values_as_people_write_them(tmp_path: Path) -> None:
    rows = {row.dotted: row.value for row in explain(filled(tmp_path))}
    assert rows["retention.sweep_seconds"] == "1m"
    assert rows["retention.spans_days"] == "30d"
    assert rows["retention.body_bytes"] == "64MB"
    assert rows["server.channels"] == "log"
    assert rows["server.enabled"] == "true"
    assert rows["server.token"] == ""


def test_reference_lists_every_setting_with_its_variables() -> None:
    text = reference(SECTIONS)
    assert "## [server]" in text
    assert "| `port` | `4318` | a whole number | `TOCSIN_SERVER_PORT`, `TOCSIN_PORT` | Port to listen on. |" in text
    assert "`METRICS_RETENTION_HOURS`" in text


def test_field_without_help_is_refused(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Bare:
        port: int = 1

    with pytest.raises(TypeError, match="setting\\(default, help=…\\)"):
        load({"bare": Bare}, None, {}, {})


@pytest.mark.parametrize(
    "toml", ["by_tenant = {globex = '36h', acme = 365}", "[retention.by_tenant]\nacme = 365\nglobex = '36h'"]
)
def test_quantities_by_name_are_a_table_in_a_file(tmp_path: Path, toml: str) -> None:
    config = filled(tmp_path, f"[retention]\n{toml}")
    assert config[Retention].by_tenant == (("acme", 365.0), ("globex", 1.5))
    assert "acme=365d,globex=36h" in [one.value for one in explain(config)]


def test_quantities_by_name_are_pairs_in_a_variable(tmp_path: Path) -> None:
    config = filled(tmp_path, environ={"TOCSIN_RETENTION_BY_TENANT": "globex=36h, acme=365"})
    assert config[Retention].by_tenant == (("acme", 365.0), ("globex", 1.5))


@pytest.mark.parametrize("given", ["acme", "acme=", "=3", "acme=soon", "acme=-3"])
def test_quantities_by_name_that_cannot_be_read_are_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(ConfigError, match=r"retention\.by_tenant"):
        filled(tmp_path, environ={"TOCSIN_RETENTION_BY_TENANT": given})
