"""What every instrument is and what it works with: patches that can be undone, and gauges."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from tocsin.sdk.settings import Settings


class UnsupportedError(Exception):
    """The library is there, and cannot be watched; the message says why."""


class Gauge(NamedTuple):
    """One number about this process, under its name at `/metrics`."""

    name: str
    help: str
    unit: str
    value: float
    labels: dict[str, str]
    is_counter: bool = False


class Patches:
    """Methods of a library replaced by ours. Where somebody else has replaced ours since, theirs stays."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any, bool]] = []

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Puts `make(original)` in the place of an attribute. Raises UnsupportedError when there is none."""
        original = getattr(owner, name, None)
        if not callable(original):
            raise UnsupportedError(f"{owner.__name__}.{name} is not there; this version is not known to us")
        if any(owner is known and name == what for known, what, *_ in self._done):
            return
        ours = make(original)
        # The signature, too: some libraries look at those of their own methods.
        functools.update_wrapper(ours.__func__ if isinstance(ours, classmethod) else ours, original)
        self._done.append((owner, name, vars(owner).get(name), ours, name in vars(owner)))
        setattr(owner, name, ours)

    def undo(self) -> None:
        while self._done:
            owner, name, original, ours, was_own = self._done.pop()
            if vars(owner).get(name) is not ours:
                continue
            if was_own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)


class Instrument:
    """One library, or Python itself, watched from inside.

    modules: what has to be imported before it can be switched on, in any order; the first name is that of the package.
    """

    modules: ClassVar[tuple[str, ...]] = ()
    # OpenTelemetry's package for the same library: whoever has switched it on does not want everything twice.
    contrib: ClassVar[str] = ""

    def __init__(self) -> None:
        self.patches = Patches()

    def switch_on(self, settings: Settings) -> None:
        """Raises UnsupportedError when the library is too old or not as we know it."""
        raise NotImplementedError

    def switch_off(self) -> None:
        self.patches.undo()

    def enter_loop(self) -> None:
        """Called now and then from where requests are answered."""

    def leave(self) -> None:
        """Called when the app has shut down in order; it may be started again."""

    def gauges(self) -> Iterable[Gauge]:
        """What there is to tell right now; asked once a second and at each scrape."""
        return ()
