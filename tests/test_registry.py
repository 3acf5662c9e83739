"""A plugin is a module in its folder, or what another distribution offers under the folder's name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tocsin.registry import plugins


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "offers"
    package.mkdir()
    for name in ("__init__", "zebra", "apple", "_private"):
        (package / f"{name}.py").write_text(f"name = {name!r}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "offers"]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def test_modules_of_a_folder_are_its_plugins_in_alphabetical_order(folder: Path) -> None:
    found = list(plugins("offers"))
    assert [name for name, _ in found] == ["apple", "zebra"]
    assert [vars(module)["name"] for _, module in found] == ["apple", "zebra"]


def test_other_distributions_add_theirs_behind(folder: Path) -> None:
    described = folder / "extra-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[offers]\naardvark = json\n")
    found = list(plugins("offers"))
    assert [name for name, _ in found] == ["apple", "zebra", "aardvark"]
    assert found[-1][1] is sys.modules["json"]


def test_folder_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        list(plugins("no_such_package_of_plugins"))
