"""The direction of imports: a module imports only from its own package and those to the right of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tocsin

LAYERS = [
    "cli", "app", "config", "web", "reports", "detect", "alerts", "incidents", "notify", "collect", "ingest", "tenants",
    "query", "storage", "model", "sdk", "registry",
]  # fmt: skip
ROOT = Path(tocsin.__file__).parent
# Names of the SDK's public face. `embed` reaches the composition root, and only when it is called.
FACE = {"__init__", "__main__", "logs", "testing", "watch"}


def layer_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path: Path) -> list[str]:
    """Every module of ours that a file imports, wherever in it."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found += [f"{node.module}.{alias.name}" if node.module == "tocsin" else node.module for alias in node.names]
    return [name for name in found if name.split(".")[0] == "tocsin"]


MODULES = sorted(path for path in ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_imports_only_from_layers_below(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if own in FACE:
        pytest.skip("the public face has rules of its own below")
    for name in imports_of(path):
        imported = layer_of(name)
        if imported in FACE or name == "tocsin":
            continue
        assert LAYERS.index(imported) >= LAYERS.index(own), f"{own} must not import {name}"


def test_sdk_imports_nothing_of_the_server() -> None:
    for path in (ROOT / "sdk").rglob("*.py"):
        assert {layer_of(name) for name in imports_of(path)} <= {"sdk", "registry", "__init__"}, path
