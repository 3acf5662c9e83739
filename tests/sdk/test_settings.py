from __future__ import annotations

import pytest

from tocsin.sdk.settings import Settings, SettingsError
from tocsin.sdk.tenant import TenantError


def test_arguments_win_over_the_environment_and_that_over_defaults() -> None:
    environ = {"TOCSIN_SERVICE": "from-environment", "TOCSIN_RELEASE": "1.2"}
    settings = Settings.load(environ, service="from-argument")
    assert (settings.service, settings.release, settings.sample_ratio) == ("from-argument", "1.2", 1.0)


def test_every_variable_of_the_environment_is_read() -> None:
    settings = Settings.load(
        {
            "TOCSIN_ENDPOINT": "http://monitor:4318",
            "TOCSIN_INGEST_KEY": "key",
            "TOCSIN_SERVICE": "shop",
            "TOCSIN_ENVIRONMENT": "staging",
            "TOCSIN_RELEASE": "1",
            "TOCSIN_COMMIT": "4f0a1b2c",
            "TOCSIN_CRITICAL": "login=POST /session",
            "TOCSIN_CRITICAL_DEFAULTS": "no",
            "TOCSIN_TENANT": "header:X-Org,subdomain",
            "TOCSIN_SAMPLE_RATIO": "0.1",
            "TOCSIN_SLOW_SECONDS": "2",
            "TOCSIN_OVERHEAD_BUDGET_US": "50",
            "TOCSIN_ENABLED": "true",
        }
    )
    assert settings == Settings(
        endpoint="http://monitor:4318", ingest_key="key", service="shop", environment="staging", release="1",
        commit="4f0a1b2c", critical="login=POST /session", critical_defaults=False,
        tenant="header:X-Org,subdomain", sample_ratio=0.1, slow_seconds=2.0, overhead_budget_us=50.0,
    )  # fmt: skip


def test_opentelemetry_names_are_understood() -> None:
    settings = Settings.load(
        {
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,service.version=7,deployment.environment.name=prod%20eu",
        }
    )
    assert (settings.service, settings.endpoint) == ("shop", "http://collector:4318")
    assert (settings.release, settings.environment) == ("7", "prod eu")


@pytest.mark.parametrize("name", ["TOCSIN_ENABLED", "MONITORING_ENABLED", "MONITORING_MIDDLEWARE_ENABLED"])
def test_each_switch_turns_monitoring_off(name: str) -> None:
    assert Settings.load({}).enabled
    assert not Settings.load({name: "false"}).enabled


def test_the_seed_name_of_the_sampling_rate_works() -> None:
    assert Settings.load({"METRICS_SAMPLING_RATE": "0.25"}).sample_ratio == 0.25


def test_preset_gives_way_to_environment_and_arguments() -> None:
    environ = {"TOCSIN_PRESET": "development"}
    settings = Settings.load(environ)
    assert (settings.preset, settings.environment, settings.sample_ratio) == ("development", "development", 0.1)
    assert Settings.load(environ | {"METRICS_SAMPLING_RATE": "0.5"}).sample_ratio == 0.5
    assert Settings.load(environ | {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=qa"}).environment == "qa"
    assert Settings.load(environ, sample_ratio=0.9).sample_ratio == 0.9
    assert Settings.load(environ, preset="production").environment == "production"


def test_an_unknown_preset_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="write production or development"):
        Settings.load({"TOCSIN_PRESET": "prod"})


def test_an_unknown_setting_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(SettingsError, match="did you mean 'sample_ratio'"):
        Settings.load({}, sampel_ratio=0.1)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"TOCSIN_SAMPLE_RATIO": "many"}, "cannot read TOCSIN_SAMPLE_RATIO='many'"),
        ({"TOCSIN_SAMPLE_RATIO": "7"}, "cannot sample at 7"),
        ({"TOCSIN_ENDPOINT": "monitor:4318"}, "cannot export to 'monitor:4318'"),
        ({"TOCSIN_ENABLED": "perhaps"}, "cannot read TOCSIN_ENABLED"),
    ],
)
def test_values_that_cannot_be_used_stop_the_start(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.load(environ)


def test_a_resolver_that_cannot_be_used_stops_the_start() -> None:
    with pytest.raises(TenantError):
        Settings.load({"TOCSIN_TENANT": "cookie:x"})


def test_the_key_is_not_shown() -> None:
    assert "secret-key" not in repr(Settings(ingest_key="secret-key"))
