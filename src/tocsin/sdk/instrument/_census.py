"""What fills the memory: objects by type, and the containers that grow; counted twice, the difference is the answer.

Only taken when the floor of memory rises for long. The list of all objects is one call of C, which holds the GIL;
everything else is done in small portions with pauses, so that requests pass in between. Where that one call takes
longer than a request may wait, it is not made a second time, and the answer says so.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

# The longest that everybody may stand still for a census.
HOLD_SECONDS = 0.02
_PORTION = 500
_PAUSE_SECONDS = 0.002
# Objects looked at; of larger heaps every second, third, … one.
_SAMPLE = 200_000
_CONTAINERS = (list, dict, set, deque)
# Smaller containers are counted by their number, not one by one.
_LARGE = 16
# Growth of a container, in elements, and of a type, in objects, that is worth a look.
_ELEMENTS_MORE, _OBJECTS_MORE = 8, 256
# Containers whose bytes are estimated, and what is named in the end.
_CANDIDATES, _NAMED = 40, 5
_ELEMENTS = 20


class Growth(NamedTuple):
    """What became more between two censuses. number: of objects, or of elements of one container."""

    name: str
    number: int
    bytes: int


class Census(NamedTuple):
    """Objects by type, scaled up to the whole heap, and the length of each large container by its id."""

    types: dict[str, int]
    sizes: dict[str, int]  # bytes of one, itself alone
    large: dict[int, int]
    objects: int
    held_seconds: float


def take() -> Census:
    began = time.thread_time()
    objects = gc.get_objects()
    held = time.thread_time() - began
    step = max(1, len(objects) // _SAMPLE)
    kinds: Counter[type] = Counter()
    shallow: dict[type, int] = {}
    large: dict[int, int] = {}
    total = len(objects)
    for each in _slowly(objects, step):
        kind = type(each)
        kinds[kind] += 1
        if kind not in shallow:
            shallow[kind] = sys.getsizeof(each, 64)
    for each in _slowly(objects, 1):
        # Of these all: what leaks is often one container among a million objects.
        if type(each) in _CONTAINERS and len(each) >= _LARGE:
            large[id(each)] = len(each)
    del objects
    types: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for kind, number in kinds.items():
        name = _type_name(kind)
        types[name] = types.get(name, 0) + number * step
        sizes[name] = shallow[kind]
    return Census(types, sizes, large, total, held)


def growth(before: Census, now: Census) -> list[Growth]:
    """The containers and types that grew most, largest first. Looks once more at the containers themselves."""
    grown = {name: now.large[name] - before.large.get(name, 0) for name in now.large}
    most = {name: more for name, more in Counter(grown).most_common(_CANDIDATES) if more >= _ELEMENTS_MORE}
    found = [_container(each, more, owner) for each, more, owner in _owned(most)] if most else []
    for name, number in now.types.items():
        more = number - before.types.get(name, 0)
        if more >= _OBJECTS_MORE:
            found.append(Growth(name, more, more * now.sizes[name]))
    return sorted(found, key=lambda each: -each.bytes)[:_NAMED]


def _slowly(objects: list[Any], step: int) -> Iterator[Any]:
    for start in range(0, len(objects), _PORTION * step):
        yield from objects[start : start + _PORTION * step : step]
        time.sleep(_PAUSE_SECONDS)


def _owned(wanted: dict[int, int]) -> Iterable[tuple[Any, int, str]]:
    """(container, growth, who holds it) of those that are still there."""
    objects = gc.get_objects()
    owners: dict[int, str] = {}
    there: dict[int, Any] = {}
    for holder in _slowly(objects, 1):
        if id(holder) in wanted and type(holder) in _CONTAINERS:
            there[id(holder)] = holder
        if holder is objects or holder is there or holder is wanted:
            continue
        for referent in gc.get_referents(holder):
            if id(referent) in wanted and id(referent) not in owners:
                owners[id(referent)] = _owner_name(holder, referent)
    del objects
    return [(each, wanted[name], owners.get(name, "")) for name, each in there.items()]


def _owner_name(holder: Any, held: Any) -> str:
    """`shop.cache.Cache._entries`, or `shop.cache._entries` for a module's variable; '' for a mere local."""
    fields = holder if type(holder) is dict else getattr(holder, "__dict__", None)
    name = next((key for key, value in list(fields.items()) if value is held), "") if type(fields) is dict else ""
    if not isinstance(name, str) or not name:
        return ""
    if type(holder) is dict:
        module = holder.get("__name__")
        return f"{module}.{name}" if isinstance(module, str) else ""
    return f"{_type_name(type(holder))}.{name}"


def _container(each: Any, more: int, owner: str) -> Growth:
    """A container with the bytes of what came last, of which a few stand for all."""
    latest = _latest(each)
    size = sum(_deep_bytes(element) for element in latest) / len(latest) if latest else 0
    inside = Counter(_type_name(type(element)) for element in latest).most_common(1)
    of = f" of {inside[0][0]}" if inside else ""
    kind = _type_name(type(each))
    return Growth(f"{owner or 'a ' + kind}{f' ({kind}{of})' if owner else of}", more, int(more * (size + 8)))


def _latest(each: Any) -> list[Any]:
    try:
        values = each.values() if isinstance(each, dict) else each
        if isinstance(each, (list, deque)):
            return [each[-place - 1] for place in range(min(_ELEMENTS, len(each)))]
        return [value for value, _ in zip(values, range(_ELEMENTS), strict=False)]
    except (RuntimeError, IndexError):
        return []  # changed while we looked


def _deep_bytes(element: Any) -> int:
    """Itself and what it refers to directly, apart from types and modules."""
    parts = [part for part in gc.get_referents(element) if not isinstance(part, (type, type(sys)))]
    return sys.getsizeof(element, 64) + sum(sys.getsizeof(part, 64) for part in parts[:_ELEMENTS])


def _type_name(kind: type) -> str:
    module = kind.__module__
    return kind.__qualname__ if module in ("builtins", "__main__", "collections") else f"{module}.{kind.__qualname__}"
