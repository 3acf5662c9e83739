"""Brings the browser libraries of the pages into the package.

`npm ci` installs exactly what `package-lock.json` names (integrity hashes checked, no scripts run) into a temporary
folder; the built files and their licences are copied to `src/tocsin/web/static/vendor/`, which git ignores and the
wheel and the sdist carry. Hatchling calls the hook when it builds; `python hatch_build.py` does the same for a
checkout. An sdist already carries the files, so building from one needs no Node.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent
VENDOR = Path("src/tocsin/web/static/vendor")

# source below node_modules -> name in the vendor folder
FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "htmx.org/LICENSE": "htmx.LICENSE.txt",
    "uplot/dist/uPlot.iife.min.js": "uplot.min.js",
    "uplot/dist/uPlot.min.css": "uplot.min.css",
    "uplot/LICENSE": "uplot.LICENSE.txt",
}


class AssetsError(RuntimeError):
    """The browser libraries could not be fetched or are incomplete."""


def copy_assets(root: Path, modules: Path) -> None:
    """Copy what FILES names from a node_modules folder; AssetsError when a file is not where it should be."""
    target = root / VENDOR
    target.mkdir(parents=True, exist_ok=True)
    for source, name in FILES.items():
        if not (modules / source).is_file():
            raise AssetsError(f"cannot copy {source}: npm did not install it; check package.json and FILES")
        shutil.copyfile(modules / source, target / name)


def fetch_assets(root: Path) -> None:
    """Install the locked libraries into a temporary folder and copy their built files; AssetsError when npm fails."""
    npm = shutil.which("npm")
    if npm is None:
        raise AssetsError("cannot fetch the browser libraries: npm is not installed; install Node 20 or newer")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copyfile(root / name, Path(folder) / name)
        done = subprocess.run([npm, "ci", "--ignore-scripts"], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssetsError(f"cannot fetch the browser libraries: npm ci failed; {done.stderr.strip()}")
        copy_assets(root, Path(folder) / "node_modules")


def has_assets(root: Path) -> bool:
    return all((root / VENDOR / name).is_file() for name in FILES.values())


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script, where hatchling need not be installed
    BuildHookInterface = None  # type: ignore[assignment, misc]  # absent, then the hook below is not defined either

if BuildHookInterface is not None:

    class AssetsHook(BuildHookInterface[Any]):
        """Fetches the libraries before a wheel or an sdist is built; an editable install uses what `make assets` put
        there, so that working on the SDK needs no Node."""

        PLUGIN_NAME = "custom"

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            if version != "editable" and not has_assets(Path(self.root)):
                fetch_assets(Path(self.root))


if __name__ == "__main__":
    try:
        fetch_assets(ROOT)
    except AssetsError as error:
        sys.exit(str(error))
