"""Instruments are found, switched on with their library and off again, and say why when they are not on."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import tocsin
from tocsin.registry import plugins
from tocsin.sdk import instrument
from tocsin.sdk.instrument._contract import Instrument, Patches, UnsupportedError
from tocsin.sdk.settings import Settings

EVERY = {
    "logging", "loguru", "structlog",
    "aiohttp", "alembic", "apscheduler", "arq", "asyncpg", "background", "celery", "httpx", "httpx2", "isolation",
    "openfeature", "psycopg", "psycopg_pool", "redis", "rq", "runtime", "sqlalchemy", "urllib3", "validation",
}  # fmt: skip


HTTPX = "off: the app has not imported httpx and httpcore"


def in_a_fresh_process(code: str, *path: Path) -> str:
    """What the code prints; it starts with nothing imported."""
    script = textwrap.dedent(code)
    setup = f"import sys; sys.path[:0] = {[str(folder) for folder in path]!r}\n"
    done = subprocess.run([sys.executable, "-c", setup + script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_instrument_keeps_the_contract() -> None:
    found = dict(plugins("tocsin.sdk.instrument"))
    assert set(found) == EVERY
    for name, module in found.items():
        assert issubclass(module.Instrument, Instrument), name
        assert module.Instrument.__doc__, name


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        ("", EVERY),
        ("-redis", EVERY - {"redis"}),
        ("-redis, -httpx", EVERY - {"redis", "httpx"}),
        ("redis,runtime", {"redis", "runtime"}),
        ("-all", set()),
        ("all", EVERY),
    ],
)
def test_the_setting_chooses(choice: str, chosen: set[str]) -> None:
    assert {name for name in EVERY if instrument.is_chosen(name, choice)} == chosen


def test_instrumenting_imports_no_library_and_hooks_on_import() -> None:
    told = in_a_fresh_process("""
        import sys, tocsin
        from tocsin.sdk import instrument
        tocsin.instrument(lambda scope, receive, send: None, endpoint="http://127.0.0.1:9")
        print(sorted({"sqlalchemy", "redis", "httpx", "urllib3", "aiohttp"} & set(sys.modules)))
        print(instrument.states()["sqlalchemy"])
        import sqlalchemy
        print(instrument.states()["sqlalchemy"])
        from sqlalchemy.engine.default import DefaultDialect
        print(hasattr(DefaultDialect.do_execute, "__wrapped__"))
        import redis, httpx, aiohttp, requests, fastapi, alembic.runtime.migration, openfeature.api
        print(instrument.states()["httpx"])
        httpx.Client()
        import celery.app.base, rq, apscheduler.schedulers.base, starlette.background
        missing = {"httpx2", "psycopg", "psycopg_pool", "asyncpg", "arq", "structlog", "loguru"}
        print(all(state == "on" for name, state in instrument.states().items() if name not in missing))
    """)
    assert told.splitlines() == ["[]", "off: the app has not imported sqlalchemy", "on", "True", HTTPX, "True"]


def test_a_library_that_is_too_old_or_not_itself_leaves_the_app_alone(tmp_path: Path) -> None:
    (tmp_path / "httpx.py").write_text("import httpcore\nclass HTTPTransport: pass\n")
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "__init__.py").write_text("raise ImportError('half installed')\n")
    told = in_a_fresh_process(
        """
        import tocsin
        from tocsin.sdk import guard, instrument
        tocsin.instrument(lambda scope, receive, send: None, endpoint="http://127.0.0.1:9")
        import httpx
        try:
            import redis
        except ImportError as error:
            print(error)
        print(instrument.states()["httpx"])
        print(instrument.states()["redis"])
        print(dict(guard.faults))
        """,
        tmp_path,
    )
    assert told.splitlines() == [
        "half installed",
        "off: HTTPTransport.handle_request is not there; this version is not known to us",
        "off: the app has not imported redis",
        "{}",
    ]


def test_a_library_that_is_not_installed_says_so() -> None:
    told = in_a_fresh_process("""
        import sys
        class Absent:
            def find_spec(self, name, path, target=None):
                if name == "aiohttp":
                    raise ModuleNotFoundError(name)
        import importlib.util
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda name, package=None: None if name == "aiohttp" else find(name, package)
        import tocsin
        from tocsin.sdk import instrument
        tocsin.instrument(lambda scope, receive, send: None, endpoint="http://127.0.0.1:9")
        print(instrument.states()["aiohttp"])
    """)
    assert told == "off: aiohttp is not installed"


def test_opentelemetrys_own_package_is_left_the_field() -> None:
    pytest.importorskip("opentelemetry.instrumentation.httpx")
    told = in_a_fresh_process("""
        import httpx, tocsin
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
        HTTPXClientInstrumentor().instrument()
        httpx.Client()
        from tocsin.sdk import instrument
        tocsin.instrument(lambda scope, receive, send: None, endpoint="http://127.0.0.1:9")
        print(instrument.states()["httpx"])
    """)
    assert told == "off: opentelemetry.instrumentation.httpx records it already"


def test_the_status_route_says_which_are_on_and_why_others_are_not() -> None:
    import sqlalchemy  # noqa: F401  what the app would do

    app = FastAPI()
    tocsin.instrument(app, instruments="-redis")
    app.include_router(tocsin.monitoring_router)
    states = TestClient(app).get("/api/v1/monitoring/status").json()["monitoring"]["instruments"]
    assert states["sqlalchemy"] == states["runtime"] == "on"
    assert states["redis"] == "off: left out in the settings"


def test_a_disabled_sdk_watches_nothing() -> None:
    tocsin.instrument(FastAPI(), enabled=False)
    assert instrument.states() == {}


class Library:
    def call(self) -> str:
        return "theirs"


def shouting(original: Any) -> Any:
    def call(self: Any) -> Any:
        return original(self).upper()

    return call


def test_patches_are_undone_but_never_those_of_others() -> None:
    patches, untouched = Patches(), Library.call
    patches.wrap(Library, "call", shouting)
    assert Library().call() == "THEIRS"
    ours = Library.call

    def somebody_elses(self: Any) -> str:
        return f"<{ours(self)}>"

    Library.call = somebody_elses  # type: ignore[method-assign]
    patches.undo()
    assert Library().call() == "<THEIRS>"
    Library.call = untouched  # type: ignore[method-assign]
    patches.wrap(Library, "call", shouting)
    patches.undo()
    assert Library.call is untouched


def test_a_method_that_is_not_there_is_no_library_we_know() -> None:
    with pytest.raises(UnsupportedError, match=r"Library\.missing is not there"):
        Patches().wrap(Library, "missing", shouting)


def test_switching_off_gives_back_every_method() -> None:
    from sqlalchemy.engine.default import DefaultDialect
    from sqlalchemy.pool import Pool

    before = (DefaultDialect.do_execute, Pool.connect)
    instrument.switch_on(Settings())
    assert DefaultDialect.do_execute is not before[0]
    instrument.switch_all_off()
    assert (DefaultDialect.do_execute, Pool.connect) == before


def test_an_instrument_that_cannot_be_imported_costs_itself_only(tmp_path: Path) -> None:
    described = tmp_path / "extra-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[tocsin.sdk.instrument]\nbroken = broken_instrument\n")
    (tmp_path / "broken_instrument.py").write_text("raise RuntimeError('written for another version')\n")
    code = """
        import redis, fastapi, tocsin
        from tocsin.sdk import instrument
        tocsin.instrument(fastapi.FastAPI())
        print(instrument.states()["redis"], "|", instrument.states()["broken"])
        told = {g.labels["instrument"]: g for g in instrument.gauges() if g.name == "tocsin_sdk_instrument"}
        print(told["redis"].value, told["broken"].value, told["broken"].labels["state"])
        instrument.switch_all_off()
        tocsin.instrument(fastapi.FastAPI(), service="again")
        print(instrument.states()["broken"])
    """
    words = "off: it cannot be imported: RuntimeError: written for another version"
    assert in_a_fresh_process(code, tmp_path) == f"on | {words}\n1.0 0.0 off\n{words}"
