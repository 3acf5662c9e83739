"""Patterns of log lines: lines a second on one core, and grouping accuracy on lines of known systems.

python -m bench.log_patterns
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "detect" / "patterns"))

from log_samples import SYSTEMS, grouping_accuracy, lines_of

from tocsin.detect.patterns.tree import PatternTree
from tocsin.model.log_shape import shape_of

LINES = 50_000


def main() -> None:
    print(f"{'system':12}{'lines/s':>10}{'of which shapes':>18}{'patterns':>10}{'of':>5}{'accuracy':>10}")
    for system in SYSTEMS:
        lines = [line for line, _ in lines_of(system, LINES)]
        started = time.process_time()
        for line in lines:
            shape_of(line)
        shaped = time.process_time() - started
        tree = PatternTree()
        started = time.process_time()
        for line in lines:
            tree.add(line)
        took = time.process_time() - started
        labelled, sample = lines_of(system), PatternTree()
        found = [sample.add(line) for line, _ in labelled]
        events = [event for _, event in labelled]
        accuracy = grouping_accuracy(events, [sample.now(pattern).id for pattern in found])
        row = f"{system:12}{len(lines) / took:10,.0f}{shaped / took:18.0%}{len(tree):10}{len(set(events)):5}"
        print(f"{row}{accuracy:10.3f}")


if __name__ == "__main__":
    main()
