"""Finds the files to follow, and knows a file again after it was rotated."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch

import structlog

from tocsin.collect.log_content import Content, ContentError, PlainContent, are_related, identity, open_content, stem
from tocsin.collect.log_follow import Followed
from tocsin.collect.log_positions import Position, Positions
from tocsin.collect.tail_target import Target, alternatives

log = structlog.get_logger("tocsin.tail")

SURE_BYTES = 256
"""A new file at the same path counts as a copy of the former one from so many equal bytes: fewer may be a banner."""
COPYING_SECONDS = 10.0
LOST_SECONDS = 60.0
"""How long the rest of a file is looked for that is not where it was."""

SETTLED_SECONDS = 0.1
"""A folder in which nothing was renamed for so long before a look, nor during it, has shown all that is in it."""

MOST_SIBLINGS = 1000
Targets = Callable[[], Iterable[Target]]
Key = tuple[int, int]


class Finder:
    """Keeps `followed` what the patterns lead to, and what these files were renamed and copied to."""

    def __init__(self, targets: Targets, positions: Positions) -> None:
        self.followed: list[Followed] = []
        self.problems: dict[str, str] = {}  # by path
        self._targets = targets
        self._positions = positions
        self._looked: dict[tuple[str, str], float] = {}  # when last nothing can have escaped, by folder and stem
        for position in positions.all.values():
            place = _place(position.path)
            self._looked[place] = max(self._looked.get(place, 0.0), position.seen)
        self._done: dict[str, tuple[int, int, int]] = {}  # compressed files that hold nothing new, as they were
        self._unsaved: list[Position] = []
        self._lost: dict[int, float] = {}  # since when, by position

    def look(self) -> None:
        """Go through the patterns once."""
        now = time.time()
        by_key = {one.position.key: one for one in self.followed}
        found: dict[Key, str] = {}
        problems: dict[str, str] = {}
        for target in self._targets():
            for path in target.paths():
                try:
                    status = os.stat(path)
                    key = (status.st_dev, status.st_ino)
                    known = by_key.get(key)
                    if key in found:
                        if found[key] == path and known is not None and known.target.job != target.job:
                            problems[path] = f"job {known.target.job} reads it; job {target.job} does not"
                        continue
                    found[key] = path
                    if known is None and (known := self._begun(path, target, path)) is not None:
                        self.followed.append(known)
                        by_key[key] = known
                except FileNotFoundError:
                    continue
                except (OSError, ContentError) as error:
                    problems[path] = str(error)
        self._find_rotated(found, now)
        self.problems = problems
        for one in self.followed:
            one.is_detached = one.position.key not in found
        self._find_lost()
        self._positions.save(self._unsaved)
        self._unsaved.clear()

    def _find_rotated(self, found: dict[Key, str], now: float) -> None:
        """Files that came and were rotated away since the last look, also while the server was down.

        One that is renamed just now may be in none of the names: its folder is looked through as far back once more.
        """
        looked = now
        known = {position.key for position in self._positions.all.values()} | found.keys()
        for place, one in {_place(one.position.path): one for one in self.followed}.items():
            since = self._looked.setdefault(place, now)
            for path in _siblings(one.position.path, since - 2.0):
                try:
                    status = os.stat(path)
                    if (status.st_dev, status.st_ino) in known:
                        continue
                    rotated = self._begun(path, one.target, one.position.path)
                except (OSError, ContentError):
                    continue
                if rotated is not None:
                    self.followed.append(rotated)
            if _changed(place[0]) < now - SETTLED_SECONDS:
                self._looked[place] = now
            looked = min(looked, self._looked[place])
        self._positions.looked = looked

    def emptied(self, one: Followed) -> None:
        """The file no longer holds what was read: it begins anew, and what was not read is looked for in a copy."""
        former = one.position
        one.position = self._positions.new(former.path, former.key)
        former.device = former.inode = 0
        log.info("tail.emptied", file=former.path, read_bytes=former.offset)
        rest = self._copy_of(former, one.target)
        if rest is not None:
            self.followed.append(rest)
        self._positions.save([one.position, former])

    def release(self, one: Followed) -> None:
        """Follow it no longer; what is left of it was read."""
        self.followed.remove(one)
        one.content.close()
        one.position.is_finished = True
        self._positions.save([one.position])

    def _begun(self, path: str, target: Target, name: str) -> Followed | None:
        """A file that is not followed yet: where to begin in it, or None to leave it for now.

        `name` is the path under which it was written. Raises ContentError.
        """
        if self._done.get(path) == _state(path):
            return None
        content = open_content(path)
        key = (content.device, content.inode)
        if any(one.position.key == key for one in self.followed):  # it was renamed meanwhile
            content.close()
            return None
        position = next((one for one in self._positions.all.values() if one.key == key), None)
        is_packed = not isinstance(content, PlainContent)
        try:
            if position is not None and position.offset and not position.known.is_of(content):
                position.device = position.inode = 0  # it was emptied, or its place was given to another file
                self._unsaved.append(position)
                position = None
            if position is None:
                position = self._recognised(path, content, name)
                if position is None:
                    content.close()
                    return None
            if is_packed and content.size() == position.offset:
                self._done[path] = _state(path)
                position.device, position.inode, position.is_finished = content.device, content.inode, True
                self._unsaved.append(position)
                content.close()
                return None
        except OSError:
            content.close()
            raise
        position.device, position.inode, position.is_finished = content.device, content.inode, False
        self._unsaved.append(position)
        return Followed(target, position, content, size=-1)

    def _recognised(self, path: str, content: Content, name: str) -> Position | None:
        """The position of the file that this is a copy of, else a new one; None while that cannot be told."""
        live = {one.position.id: one for one in self.followed}
        for position in sorted(self._positions.all.values(), key=lambda one: -one.offset):
            if not position.offset or not are_related(position.path, path):
                continue
            original = live.get(position.id)
            if position.known.is_of(content):
                if path == position.path and position.offset < SURE_BYTES:
                    continue
                if original is None:
                    return position
                if not position.known.is_of(original.content):
                    self.emptied(original)  # which follows what is left of it in this copy
                    return None
                if original.content.size() >= content.size():
                    return None  # a copy, and all of it still stands in the original
            elif (
                path != position.path
                and position.known.may_become(content)
                and (_age_seconds(path) < COPYING_SECONDS or (original and _is_begin_of(content, original.content)))
            ):
                return None  # a copy that is being made, or was made earlier
        return self._positions.new(name, (content.device, content.inode))

    def _find_lost(self) -> None:
        """Files that were not read to their end and that no pattern leads to, after a start or a rotation."""
        live = {one.position.id for one in self.followed}
        lost = [one for one in self._positions.all.values() if not one.is_finished and one.id not in live]
        targets = list(self._targets()) if lost else []
        for position in lost:
            target = next((one for one in targets if _matches(one, position.path)), None)
            rest = self._copy_of(position, target) if target is not None else None
            if rest is not None:
                self.followed.append(rest)
                self._lost.pop(position.id, None)
            # It may be on its way from one name to the next at just this moment.
            elif time.monotonic() - self._lost.setdefault(position.id, time.monotonic()) >= LOST_SECONDS:
                del self._lost[position.id]
                if position.intended_end:
                    log.warning("tail.lost", file=position.path, read_bytes=position.offset)
                position.is_finished, position.intended_end = True, 0
                self._unsaved.append(position)

    def _copy_of(self, position: Position, target: Target) -> Followed | None:
        """What is left of a file, under another name in its folder."""
        for path in _siblings(position.path):
            try:
                content = open_content(path)
            except ContentError:
                continue
            is_same = (content.device, content.inode) == position.key
            if (is_same and not position.offset) or position.known.is_of(content):
                is_taken = any(one.position.key == (content.device, content.inode) for one in self.followed)
                if content.size() > position.offset and not is_taken:
                    position.device, position.inode = content.device, content.inode
                    return Followed(target, position, content, is_detached=True, size=-1)
            content.close()
        return None


def _place(path: str) -> tuple[str, str]:
    return os.path.dirname(path), stem(path)


def _changed(folder: str) -> float:
    """When a file came, went or was renamed; never in a folder that is gone."""
    try:
        return os.stat(folder or ".").st_mtime
    except OSError:
        return 0.0


def _is_begin_of(content: Content, whole: Content) -> bool:
    size = content.size()
    return identity(content, size) == identity(whole, size)


def _siblings(path: str, since: float = 0.0) -> Iterator[str]:
    """Files in the same folder whose names say that they may be this one, rotated; the newest first."""
    folder, wanted = os.path.dirname(path), stem(path)
    written = {}
    try:
        names = [name for name in os.listdir(folder or ".") if stem(name) == wanted]
    except OSError:
        return
    for name in names:
        try:
            written[os.path.join(folder, name)] = os.stat(os.path.join(folder, name)).st_mtime
        except OSError:
            continue  # renamed or removed meanwhile
    recent = [path for path in written if written[path] >= since]
    yield from sorted(recent, key=lambda one: -written[one])[:MOST_SIBLINGS]


def _state(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _age_seconds(path: str) -> float:
    return time.time() - os.stat(path).st_mtime


def _matches(target: Target, path: str) -> bool:
    return any(fnmatch(path, pattern) for pattern in alternatives(target.pattern))
