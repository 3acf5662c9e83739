"""Lines over the days before, for usual ranges and forecasts: asked once a quarter of an hour, not at each refresh."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from weakref import WeakKeyDictionary

import numpy as np

from tocsin.query.evaluate import Evaluated, aligned
from tocsin.query.foresight import DAY_SECONDS, History
from tocsin.query.promql.source import Grid

DAYS, STEP_MS = 7, 900_000
MOST_KEPT = 200
_Kept = OrderedDict[Hashable, History]
_kept: WeakKeyDictionary[object, _Kept] = WeakKeyDictionary()  # by app: several may run in one process
_lock = threading.Lock()


def history_grid(now_ms: int) -> Grid:
    """The last days and a day of the first of them, up to the quarter of an hour that goes on."""
    end_ms = -(-now_ms // STEP_MS) * STEP_MS
    return Grid(end_ms - (DAYS + 1) * DAY_SECONDS * 1000, end_ms, STEP_MS)


def history_of(app: object, key: Hashable, grid: Grid, ask: Callable[[Grid], Evaluated]) -> History:
    """The first series of the answer, kept until the grid moves on; `key` says whose answer to what it is."""
    whole = (key, grid.end_ms)
    with _lock:
        kept = _kept.setdefault(app, OrderedDict())
        if (found := kept.get(whole)) is not None:
            kept.move_to_end(whole)
            return found
    done = ask(grid)
    values = aligned(done.series[0], grid) if done.series else [None] * len(grid)
    made = History(
        grid.start_ms / 1000, grid.step_ms / 1000, np.array([np.nan if one is None else one for one in values])
    )
    with _lock:
        kept[whole] = made
        while len(kept) > MOST_KEPT:
            kept.popitem(last=False)
    return made
