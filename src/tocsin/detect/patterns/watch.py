"""Keeps the patterns of all log lines: looks at each shape that is new in the store, and tells what is news.

The engine counts every line by its shape when it stores it, so no count depends on this thread: it only says which
pattern a shape belongs to, and the same again when it is asked twice.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import structlog

from tocsin.detect.patterns import counters
from tocsin.detect.patterns.news import Counted, News, exploding, explosion, is_news, new_pattern
from tocsin.detect.patterns.settings import PatternSettings
from tocsin.detect.patterns.tree import Pattern, PatternTree
from tocsin.model.log_shape import shape_of
from tocsin.query.log_pattern_state import MOST_SHAPES, ShapeSeen, bursts, known_patterns, shapes_since
from tocsin.storage.telemetry.engine import EngineError
from tocsin.storage.telemetry.log_patterns import PatternRow, ShapeRow, keep_patterns, keep_shapes
from tocsin.storage.telemetry.store import TelemetryStore

log = structlog.get_logger("tocsin.patterns")

Tell = Callable[[News], None]
"""Sends an event; raises OSError when it cannot now."""

LOOK_SECONDS = 1.0
BURST_SECONDS = 60.0
QUIET_MS = 3_600_000
"""How long a pattern that explodes is not told again."""
OVERLAP_MS = 5_000
"""How far a look reaches back before the one before it: rows become visible a little after their time of storing."""
MOST_KNOWN = 200_000
MOST_NEWS = 20
"""Of one look; the others are counted."""
DAY_MS = 86_400_000


class PatternWatch:
    """One thread, woken by `lines_came`. `look` and `look_for_bursts` do its work, for who turns the clock."""

    def __init__(
        self,
        store: TelemetryStore,
        tell: Tell,
        settings: PatternSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings or PatternSettings()
        self._store = store
        self._tell = tell
        self._clock = clock
        self._trees: dict[str, PatternTree] | None = None  # None: what is known was not read yet
        self._made_ms: dict[tuple[str, int], int] = {}
        self._learned_since_ms: dict[str, int] = {}
        self._known: OrderedDict[tuple[str, int], tuple[Pattern, int]] = OrderedDict()  # with the day it was kept
        self._since_ms = 0
        self._told_ms: dict[int, int] = {}
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tocsin-patterns", daemon=True)

    def start(self) -> None:
        if self.settings.is_on:
            self._wake.set()
            self._thread.start()

    def close(self) -> None:
        """Stop after the look in hand; the next start goes on from the store."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def lines_came(self) -> None:
        """Called after a commit of log lines; returns at once."""
        self._wake.set()

    def _run(self) -> None:
        looked_for_bursts = time.monotonic()
        while not self._stop.is_set():
            self._wake.wait(BURST_SECONDS)
            self._wake.clear()
            try:
                while not self._stop.is_set() and self.look():
                    pass
                if time.monotonic() - looked_for_bursts >= BURST_SECONDS:
                    looked_for_bursts = time.monotonic()
                    self.look_for_bursts()
            except (EngineError, OSError) as error:
                log.warning("patterns.put_off", error=str(error))
            self._stop.wait(LOOK_SECONDS)

    def look(self) -> bool:
        """Finds the patterns of shapes that came since the last look; whether there may be more. Raises EngineError."""
        trees = self._restored()
        now_ms = round(self._clock() * 1000)
        seen = shapes_since(self._store, self._since_ms)
        is_flood = len(seen) == MOST_SHAPES
        if is_flood:
            seen = shapes_since(self._store, self._since_ms, unknown_only=True)
        today = now_ms // DAY_MS
        fresh = [one for one in seen if self._known.get((one.service, one.shape), (None, -1))[1] != today]
        fresh.sort(key=lambda one: one.first_ns)
        news: list[News] = []
        rows: list[PatternRow] = []
        shapes: list[ShapeRow] = []
        for service in {one.service: None for one in fresh}:
            tree = trees.setdefault(service, PatternTree(service, self.settings.most_patterns))
            mine = [one for one in fresh if one.service == service]
            found = [(one, tree.add_shape(shape_of(one.example))) for one in mine]
            rows += self._changes(service, tree, found, now_ms)
            news += self._news(tree, found, now_ms)
            for one, pattern in found:
                shapes.append(ShapeRow(service, one.shape, tree.now(pattern).id))
                self._remember((service, one.shape), pattern, today)
        keep_patterns(self._store.engine, rows, now_ms)
        keep_shapes(self._store.engine, shapes, now_ms)
        counters.shapes.inc(len(fresh))
        counters.patterns.set(sum(len(tree) for tree in trees.values()))
        self._send(news)
        newest_ms = max((one.stored_ms for one in seen), default=self._since_ms)
        if seen:
            counters.lag_seconds.set(max(0.0, (now_ms - newest_ms) / 1000))
        if is_flood and len(seen) == MOST_SHAPES:
            return bool(fresh)
        self._since_ms = max(self._since_ms, newest_ms - OVERLAP_MS)
        return False

    def look_for_bursts(self) -> None:
        """Tells the patterns that explode now. Raises EngineError."""
        now_ms = round(self._clock() * 1000)
        for one in exploding(self._counted(now_ms), self.settings, now_ms):
            if now_ms - self._told_ms.get(one.pattern, -QUIET_MS) >= QUIET_MS:
                self._told_ms[one.pattern] = now_ms
                self._send([explosion(one)])
        self._told_ms = {id: at for id, at in self._told_ms.items() if now_ms - at < QUIET_MS}

    def _counted(self, now_ms: int) -> list[Counted]:
        """The lines of each pattern, out of those of its shapes."""
        trees = self._restored()
        by_pattern: dict[tuple[str, int], Counted] = {}
        for burst in bursts(self._store, now_ms, self.settings.exploding_lines):
            kept = self._known.get((burst.service, burst.shape))
            if kept is None:
                continue
            pattern = trees[burst.service].now(kept[0])
            key = (burst.service, pattern.id)
            before = by_pattern.get(key)
            recent, usual, largest = burst.recent, burst.usual, burst
            if before is not None:
                recent, usual = recent + before.recent, usual + before.usual
                largest = max(burst, before.largest, key=lambda one: one.recent)
            by_pattern[key] = Counted(
                pattern.id, pattern.template, self._made_ms.get(key, now_ms), recent, usual, largest
            )
        return list(by_pattern.values())

    def _restored(self) -> dict[str, PatternTree]:
        """The patterns as they were kept, on first use."""
        if self._trees is None:
            trees: dict[str, PatternTree] = {}
            for one in known_patterns(self._store):
                since = self._learned_since_ms.get(one.service, one.made_ms)
                self._learned_since_ms[one.service] = min(since, one.made_ms)
                if not one.into:
                    tree = trees.setdefault(one.service, PatternTree(one.service, self.settings.most_patterns))
                    tree.restore(one.id, one.template)
                    self._made_ms[(one.service, one.id)] = one.made_ms
            self._trees = trees
        return self._trees

    def _changes(
        self, service: str, tree: PatternTree, found: Sequence[tuple[ShapeSeen, Pattern]], now_ms: int
    ) -> list[PatternRow]:
        """What is to be written down of the service's patterns: those found, new, widened or absorbed."""
        rows = []
        ids = dict.fromkeys([*tree.changed, *(tree.now(pattern).id for _, pattern in found)])
        for pattern in tree.patterns:
            if pattern.id in ids:
                made_ms = self._made_ms.setdefault((service, pattern.id), now_ms)
                rows.append(PatternRow(service, pattern.id, pattern.template, made_ms))
        for absorbed, into in tree.merged:
            made_ms = self._made_ms.pop((service, absorbed), now_ms)
            rows.append(PatternRow(service, absorbed, "", made_ms, into))
        return rows

    def _news(self, tree: PatternTree, found: Sequence[tuple[ShapeSeen, Pattern]], now_ms: int) -> list[News]:
        """Events for the patterns that this look made, each with the first line of it."""
        made = {id: None for id in tree.changed if id in tree.made}
        absorbed = {id for id, _ in tree.merged}
        tree.changed.clear()
        tree.merged.clear()
        tree.made.clear()
        news = []
        for seen, pattern in found:
            if pattern.id not in made or pattern.id in absorbed:
                continue
            del made[pattern.id]
            since_ms = self._learned_since_ms.setdefault(seen.service, now_ms)
            if is_news(seen, since_ms, now_ms, self.settings):
                news.append(new_pattern(pattern.id, pattern.template, seen))
        return news

    def _remember(self, key: tuple[str, int], pattern: Pattern, day: int) -> None:
        self._known[key] = pattern, day
        self._known.move_to_end(key)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        if len(self._made_ms) > MOST_KNOWN:
            trees = self._restored()
            self._made_ms = {key: at for key, at in self._made_ms.items() if key[1] in trees[key[0]]}

    def _send(self, news: Sequence[News]) -> None:
        for one in news[:MOST_NEWS]:
            self._tell(one)
            counters.told.labels(one.name).inc()
        counters.not_told.inc(max(0, len(news) - MOST_NEWS))
