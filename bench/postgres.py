"""A PostgreSQL of its own for a benchmark, on a port of this machine, gone with it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_postgres(port: int) -> Iterator[None]:
    """Trusts everybody on this machine; the user is bench. Ends the program when initdb is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    programs = Path(found[-1]) if found else Path(shutil.which("initdb") or "/nowhere").parent
    if not (programs / "initdb").exists():
        raise SystemExit("cannot measure PostgreSQL: initdb is not installed; run scripts/debian-packages")
    as_user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="tocsin-bench-"))
    if as_user:
        os.chown(folder, pwd.getpwnam(as_user).pw_uid, -1)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, user=as_user, cwd=folder, stdout=subprocess.DEVNULL)

    run("initdb", "-A", "trust", "-U", "bench", "--no-sync")
    options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield
    finally:
        run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder)
