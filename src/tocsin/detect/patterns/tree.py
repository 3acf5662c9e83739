"""Groups lines into patterns as they come, in bounded memory.

Lines of as many words are compared. A line belongs to the pattern with which it has most words in common, if what
differs can be values. A word that may or may not be one keeps lines apart until there are several of them; then their
patterns become one. So `VM started` and `VM paused` stay two, and the names of customers do not.

The idea that lines of one length are compared by position is Drain's (He et al., ICWS 2017); there is no prefix tree
here: each word names the patterns that have it at its place, so a line is compared only with those that share words.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from tocsin.detect.patterns.tokens import ANY, Kind, kind_of, template_of, words_of
from tocsin.model.log_shape import shape_of

SIMILAR = 0.5
"""Share of the fixed words of a pattern that a line must have to widen it."""

VERY_SIMILAR = 0.7
"""The same where it is unsure in several places whether what differs are values."""

VALUES = 4
"""Different words in one place from which on they are values."""


@dataclass(slots=True)
class Pattern:
    """Lines alike. words: those every line has, `<*>` where they differ. id: 63 bits; stays while the words widen."""

    id: int
    words: list[str]
    lines: int = 0
    fixed: int = field(default=0)

    @property
    def template(self) -> str:
        return template_of(self.words)


@dataclass(slots=True)
class _Bucket:
    """The patterns of one length, by each of their fixed words and its place."""

    patterns: dict[int, Pattern] = field(default_factory=dict)
    by_word: dict[tuple[int, str], dict[int, None]] = field(default_factory=dict)


class PatternTree:
    """All patterns of one source of lines. Not for several threads at once.

    most_patterns and most_shapes bound the memory; the patterns and shapes unseen longest are forgotten, and a
    forgotten one is found again as a new one. Ids come from the source's name and a pattern's first words.
    """

    def __init__(self, source: str = "", most_patterns: int = 5_000, most_shapes: int = 50_000) -> None:
        self.merged: list[tuple[int, int]] = []
        """(absorbed, into): patterns that became one since the caller last emptied this list."""
        self.changed: dict[int, None] = {}
        """Patterns that are new or were widened since the caller last emptied this."""
        self.made: set[int] = set()
        """Those of them that are new."""
        self._most_patterns = most_patterns
        self._most_shapes = most_shapes
        self._source = source
        self._buckets: dict[int, _Bucket] = {}
        self._by_shape: OrderedDict[str, Pattern] = OrderedDict()
        self._patterns: OrderedDict[int, Pattern] = OrderedDict()
        self._into: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._patterns)

    def __contains__(self, id: int) -> bool:
        return id in self._patterns

    @property
    def patterns(self) -> list[Pattern]:
        return list(self._patterns.values())

    def add(self, line: str) -> Pattern:
        """The pattern of a line, which it may have made or widened."""
        return self.add_shape(shape_of(line))

    def add_shape(self, shape: str) -> Pattern:
        """The same for the shape of a line."""
        found = self._by_shape.get(shape)
        if found is None:
            found = self._found(words_of(shape))
            self._by_shape[shape] = found
            if len(self._by_shape) > self._most_shapes:
                self._by_shape.popitem(last=False)
        elif found.id not in self._patterns:
            found = self._by_shape[shape] = self._root(found) or self._found(words_of(shape))
        found.lines += 1
        return found

    def now(self, pattern: Pattern) -> Pattern:
        """What a pattern is by now: another one may have absorbed it."""
        return self._root(pattern) or pattern

    def restore(self, id: int, template: str) -> None:
        """A pattern that was known before."""
        self._put(Pattern(id, template.split(" ")))

    def _root(self, pattern: Pattern) -> Pattern | None:
        """What became of a pattern that was absorbed; None when it was forgotten."""
        id = pattern.id
        while id in self._into:
            id = self._into[id]
        return self._patterns.get(id)

    def _found(self, words: list[str]) -> Pattern:
        bucket = self._buckets.setdefault(len(words), _Bucket())
        best, rivals = self._nearest(bucket, words)
        if best is None:
            best = self._made(words)
        else:
            for rival in rivals:
                self._absorb(best, rival)
            if self._widen(bucket, best, words):
                for covered in self._covered(bucket, best):
                    self._absorb(best, covered)
        self._patterns.move_to_end(best.id)
        return best

    def _nearest(self, bucket: _Bucket, words: list[str]) -> tuple[Pattern | None, list[Pattern]]:
        """The pattern that takes a line of these words, and the patterns that thereby become one with it."""
        votes = _votes(bucket, words)
        best: Pattern | None = None
        best_rank = (-1.0, -1)
        nearly: dict[tuple[int, ...], list[Pattern]] = {}
        for id, same in votes.items():
            pattern = bucket.patterns[id]
            if same < pattern.fixed * SIMILAR:
                continue
            unsure = _unsure_places(pattern.words, words) if same < pattern.fixed else ()
            if unsure == ():
                rank = (same / max(1, pattern.fixed), same)
                if rank > best_rank:
                    best, best_rank = pattern, rank
            elif unsure is not None and (len(unsure) == 1 or same >= pattern.fixed * VERY_SIMILAR):
                nearly.setdefault(unsure, []).append(pattern)
        if best is not None:
            return best, []
        for alike in nearly.values():
            if len(alike) >= VALUES - 1:
                alike.sort(key=lambda pattern: -pattern.lines)
                return alike[0], alike[1:]
        if not votes and all(ANY in word for word in words):
            return next((one for one in bucket.patterns.values() if one.words == words), None), []
        return None, []

    def _made(self, words: list[str]) -> Pattern:
        id = _id_of(self._source, words)
        while id in self._patterns or id in self._into:
            id += 1
        pattern = Pattern(id, words)
        self._put(pattern)
        self.changed[pattern.id] = None
        self.made.add(pattern.id)
        if len(self._patterns) > self._most_patterns:
            _, oldest = self._patterns.popitem(last=False)
            self._take_out(oldest)
        return pattern

    def _put(self, pattern: Pattern) -> None:
        bucket = self._buckets.setdefault(len(pattern.words), _Bucket())
        bucket.patterns[pattern.id] = pattern
        self._patterns[pattern.id] = pattern
        pattern.fixed = 0
        for place, word in enumerate(pattern.words):
            if word != ANY:
                bucket.by_word.setdefault((place, word), {})[pattern.id] = None
                pattern.fixed += 1

    def _take_out(self, pattern: Pattern) -> None:
        bucket = self._buckets[len(pattern.words)]
        del bucket.patterns[pattern.id]
        for place, word in enumerate(pattern.words):
            self._forget_word(bucket, place, word, pattern.id)

    def _forget_word(self, bucket: _Bucket, place: int, word: str, id: int) -> None:
        named = bucket.by_word.get((place, word))
        if named is not None:
            named.pop(id, None)
            if not named:
                del bucket.by_word[(place, word)]

    def _absorb(self, into: Pattern, rival: Pattern) -> None:
        self._take_out(rival)
        self._patterns.pop(rival.id)
        self._into[rival.id] = into.id
        if len(self._into) > self._most_patterns:
            del self._into[next(iter(self._into))]
        into.lines += rival.lines
        self._widen(self._buckets[len(into.words)], into, rival.words)
        self.merged.append((rival.id, into.id))

    def _covered(self, bucket: _Bucket, wide: Pattern) -> list[Pattern]:
        """The patterns whose every line now is one of `wide`, too."""
        found = []
        for id, same in _votes(bucket, wide.words).items():
            other = bucket.patterns[id]
            if other is wide or same < wide.fixed:
                continue
            if not any(
                mine == ANY != word and kind_of(word, wide.words[place - 1] if place else "") is Kind.KEYWORD
                for place, (mine, word) in enumerate(zip(wide.words, other.words, strict=True))
            ):
                found.append(other)
        return found

    def _widen(self, bucket: _Bucket, pattern: Pattern, words: list[str]) -> bool:
        """Whether that changed it."""
        is_wider = False
        for place, (mine, word) in enumerate(zip(pattern.words, words, strict=True)):
            if mine != word and mine != ANY:
                self._forget_word(bucket, place, mine, pattern.id)
                pattern.words[place] = ANY
                pattern.fixed -= 1
                is_wider = True
        if is_wider:
            self.changed[pattern.id] = None
        return is_wider


def _id_of(source: str, words: list[str]) -> int:
    digest = hashlib.blake2b("\0".join((source, *words)).encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def _votes(bucket: _Bucket, words: list[str]) -> dict[int, int]:
    """How many fixed words each pattern has in common with these, by id; those with none are left out."""
    votes: dict[int, int] = {}
    for place, word in enumerate(words):
        for id in bucket.by_word.get((place, word), ()):
            votes[id] = votes.get(id, 0) + 1
    return votes


def _unsure_places(mine: list[str], words: list[str]) -> tuple[int, ...] | None:
    """Where words differ that may or may not be values; None when a word differs that is none."""
    unsure: tuple[int, ...] = ()
    for place, (one, other) in enumerate(zip(mine, words, strict=True)):
        if one in (other, ANY):
            continue
        before = words[place - 1] if place else ""
        kinds = kind_of(one, before), kind_of(other, before)
        if Kind.KEYWORD in kinds:
            return None
        if Kind.VALUE not in kinds:
            unsure = (*unsure, place)
    return unsure
