from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import tocsin
from tocsin.sdk.settings import _ENVIRONMENT, Settings

TEXT = (Path(__file__).parents[2] / "docs" / "sdk.md").read_text()


def test_every_setting_and_variable_is_documented() -> None:
    assert [field.name for field in fields(Settings) if f"| `{field.name}` |" not in TEXT] == []
    assert [key for _, keys, _ in _ENVIRONMENT for key in keys if key not in TEXT] == []


def test_every_public_name_is_documented() -> None:
    assert [name for name in tocsin.__all__ if name not in TEXT and name not in ("embed", "Settings")] == []


def test_the_examples_run() -> None:
    for block in TEXT.split("```python\n")[1:]:
        code = block.partition("```")[0]
        exec(compile(code, "docs/sdk.md", "exec"), {})
