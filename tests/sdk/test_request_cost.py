"""What Tocsin adds to a request, counted in the instructions that Python runs in its modules: alike on every machine,
however busy. `bench.sdk_overhead` says what that is in microseconds and in requests kept; here it may only become less.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from waiting import PATIENCE_SECONDS

COUNT = Path(__file__).with_name("request_instructions.py")
# Instructions a request: 524 before it is answered, 508 to make numbers and a span of it, and a tenth to spare.
BEFORE_ANSWER, DIGEST = 576, 559


def test_a_request_takes_no_more_instructions_than_it_did() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "OTEL_"))}
    run = subprocess.run(
        [sys.executable, str(COUNT)], env=environ, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )
    found = json.loads(run.stdout)
    assert found["before_answer"] <= BEFORE_ANSWER
    assert found["digest"] <= DIGEST
    assert found["watched"] == 256
