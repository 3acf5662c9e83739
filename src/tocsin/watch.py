"""Runs a worker or a script watched, without a change to its code: `python -m tocsin.watch celery -A shop worker`.

The settings come from the environment. What follows is a command that a package installs, `-m` and a module, or a file.
"""

from __future__ import annotations

import runpy
import sys
from importlib.metadata import entry_points

from tocsin.sdk.job import start

_USAGE = "write `python -m tocsin.watch celery -A shop worker`, `… -m shop.worker` or `… worker.py`"


def main(arguments: list[str]) -> None:
    """Starts the SDK, then the command, which sees its own arguments only."""
    if not arguments:
        raise SystemExit(f"cannot watch nothing; {_USAGE}")
    start()
    # As for any script: what lies beside it can be imported.
    sys.path.insert(0, "")
    if arguments[0] == "-m" and len(arguments) > 1:
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0].endswith(".py"):
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        sys.argv = arguments
        found = list(entry_points(group="console_scripts", name=arguments[0]))
        if not found:
            raise SystemExit(f"cannot watch {arguments[0]!r}: no package installs such a command; {_USAGE}")
        sys.exit(found[0].load()())


if __name__ == "__main__":
    main(sys.argv[1:])
