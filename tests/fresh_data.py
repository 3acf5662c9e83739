"""The data folder of a server that has started once and seen nothing: what a first start takes is paid once a run."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from unsynced import UNSYNCED
from waiting import PATIENCE_SECONDS
from warm_python import run

FIRST_START = """
import sys
from tocsin.app.server import Server
from tocsin.app.settings import configuration
from tocsin.storage.telemetry.migrate import EMBEDDED
EMBEDDED["table_settings"] = sys.argv[2]
Server(configuration({"server.data": sys.argv[1]}, None)).close()
"""


def lay_out(data: Path) -> None:
    """Makes `data` such a folder."""
    shutil.copytree(_started_once(), data, symlinks=True, dirs_exist_ok=True)


@cache
def _started_once() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tocsin-fresh-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    start = ["-c", FIRST_START, str(folder / "data"), UNSYNCED["table_settings"]]
    started = run(start, environ, folder, PATIENCE_SECONDS)
    assert started.returncode == 0, started.stderr
    return folder / "data"
