"""Runs every script of a folder and prints, file by file, how many queries answered as expected.

python -m tests.promql.run FOLDER [-v]     or with PROMQL_SCRIPTS=FOLDER
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from promql.script import run


def main(arguments: list[str]) -> int:
    verbose = "-v" in arguments
    folders = [argument for argument in arguments if not argument.startswith("-")]
    folder = Path(folders[0] if folders else os.environ.get("PROMQL_SCRIPTS", Path(__file__).parent / "scripts"))
    passed = failed = 0
    for path in sorted(folder.rglob("*.test")):
        started = time.perf_counter()
        outcome = run(path.read_text())
        seconds = time.perf_counter() - started
        print(f"{path.name:40} {outcome.passed:5} passed {len(outcome.failures):4} failed {seconds:6.1f} s")
        if verbose:
            for failure in outcome.failures:
                print(f"    {failure[:400]}")
        passed += outcome.passed
        failed += len(outcome.failures)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
