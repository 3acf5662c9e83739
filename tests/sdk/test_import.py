"""What `import tocsin` costs a product, looked at in fresh processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tocsin


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_tocsin_imports_nothing_of_the_sdk() -> None:
    assert not {
        name for name in modules_after("import tocsin") if name.startswith(("tocsin.", "opentelemetry", "fastapi"))
    }


def test_the_sdk_needs_the_standard_library_and_the_opentelemetry_api_only() -> None:
    loaded = modules_after("import tocsin; tocsin.instrument; tocsin.MonitoringMiddleware; tocsin.span; tocsin.wrap")
    foreign = ("fastapi", "starlette", "google", "opentelemetry.sdk", "opentelemetry.exporter", "tocsin.model", "chdb")
    assert not {name for name in loaded if name.startswith(foreign)}


def test_every_public_name_is_there() -> None:
    for name in tocsin.__all__:
        if name != "embed":  # belongs to the server
            assert getattr(tocsin, name) is not None
    assert set(tocsin.__all__) <= set(dir(tocsin))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="instrumnet"):
        tocsin.instrumnet  # type: ignore[attr-defined]  # noqa: B018
