"""The own test suites of open-source FastAPI products, with and without `tocsin.instrument(app)` in every app.

    python -m bench.real_apps [--only quetz] [--folder DIR]

Each suite comes out of the product's source distribution, is run in a virtual environment of its own, and has to end in
the same way test by test. Prints the tests that end otherwise, how long both runs took, and faults of ours.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import subprocess
import sys
import tarfile
import time
import venv
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Product(NamedTuple):
    """requirement: with its version. needs: what its tests need besides. tests: those that have an app."""

    requirement: str
    needs: tuple[str, ...]
    tests: tuple[str, ...]


RANDOM_NAME = re.compile(r"[\w-]{43}")
PRODUCTS = {
    "fastapi-users": Product(
        "fastapi-users[sqlalchemy,oauth,redis]==15.0.5",
        ("pytest", "pytest-asyncio", "pytest-mock", "asgi-lifespan"),
        (
            "tests/test_fastapi_users.py",
            "tests/test_router_register.py",
            "tests/test_router_auth.py",
            "tests/test_openapi.py",
        ),
    ),
    # A server of conda packages: SQLAlchemy, OAuth, background jobs, sessions, plug-ins; it was written for these.
    "quetz": Product(
        "quetz-server==0.10.4",
        (
            "fastapi==0.115.12",
            "httpx<0.28",
            "sqlalchemy<2.1",
            "pydantic==2.11.*",
            "click<8.2",
            "bcrypt<4",
            "pytest<9",
            "pytest-asyncio<1",
            "pytest-mock",
            "pytest-timeout",
            "pyinstrument",
        ),
        ("quetz/tests",),
    ),
}


def prepare(product: Product, folder: Path) -> tuple[Path, Path]:
    """(python, folder of the sources), installed and unpacked once."""
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "venv", with_pip=True)
        needs = [product.requirement, *product.needs, str(ROOT)]
        subprocess.run([str(python), "-m", "pip", "install", "-q", *needs], check=True)
    name = product.requirement.partition("==")[0].partition("[")[0]
    version = product.requirement.partition("==")[2]
    if not list(folder.glob("*.tar.gz")):
        download = [str(python), "-m", "pip", "download", "-q", "--no-deps", "--no-binary", name, "-d", str(folder)]
        subprocess.run([*download, f"{name}=={version}"], check=True)
    [archive] = folder.glob("*.tar.gz")
    sources = folder / archive.name.removesuffix(".tar.gz")
    if not sources.exists():
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    return python, sources


def run(product: Product, python: Path, sources: Path, *, watched: bool) -> tuple[dict[str, str], float, list[str]]:
    """(test -> outcome, seconds, what the plugin says)."""
    report = sources / f"outcomes-{watched}.xml"
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    command += [f"--junitxml={report}"]
    environment = {**os.environ, "TOCSIN_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(ROOT / "bench")}
    if watched:
        command += ["-p", "tocsin_everywhere"]
    command += product.tests
    began = time.monotonic()
    done = subprocess.run(command, cwd=sources, env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - began
    said = [line for line in done.stdout.splitlines() if line.startswith("tocsin:")]
    if not report.exists():
        raise SystemExit(f"cannot run the tests of {product.requirement}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return outcomes(report), seconds, said


def outcomes(report: Path) -> dict[str, str]:
    """By test; of tests with a random name in it, by the order in which they ran."""
    found: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):
        ends = [part.tag for part in case if part.tag in ("failure", "error", "skipped")]
        name = RANDOM_NAME.sub("?", f"{case.get('classname')}::{case.get('name')}")
        found[next(f"{name}#{n}" for n in itertools.count() if f"{name}#{n}" not in found)] = (
            ends[0] if ends else "passed"
        )
    return found


def compare(name: str, folder: Path) -> bool:
    product = PRODUCTS[name]
    python, sources = prepare(product, folder)
    bare, bare_seconds, _ = run(product, python, sources, watched=False)
    watched, seconds, said = run(product, python, sources, watched=True)
    differing = {test for test in bare.keys() | watched.keys() if bare.get(test) != watched.get(test)}
    passed = sum(outcome == "passed" for outcome in bare.values())
    print(f"{product.requirement}: {len(bare)} tests, {passed} pass without Tocsin ({bare_seconds:.0f} s); with it "
          f"{len(differing)} end otherwise ({seconds:.0f} s)")  # fmt: skip
    for test in sorted(differing):
        print(f"  {test}: {bare.get(test)} -> {watched.get(test)}")
    print("  " + " ".join(said), flush=True)
    return passed > 0 and not differing


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=list(PRODUCTS))
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "tocsin-real-apps")
    options = parser.parse_args()
    names = [options.only] if options.only else list(PRODUCTS)
    for name in names:
        (options.folder / name).mkdir(parents=True, exist_ok=True)
    are_equal = [compare(name, options.folder / name) for name in names]
    sys.exit(0 if all(are_equal) else 1)


if __name__ == "__main__":
    main()
