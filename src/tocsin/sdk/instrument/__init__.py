"""Instruments, one module a library: what the app calls, and how its process fares (★ plugin folder).

An instrument is switched on when its library is imported, never importing it by itself; `states()` says which are on,
and why the others are not. Enter: settings. Leave: calls noted with the current request, gauges. Called by `agent.py`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tocsin.sdk.exposition import Family, labels_of
from tocsin.sdk.guard import attempt, outcome
from tocsin.sdk.instrument._contract import Gauge, Instrument, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.sdk.settings import Settings

log = logging.getLogger("tocsin")

_lock = threading.RLock()
_found: dict[str, Instrument] = {}
_states: dict[str, str] = {}
_broken: dict[str, str] = {}


def switch_on(settings: Settings) -> None:
    """Switches on what the settings want, now or as soon as its library is imported. The first call decides."""
    with _lock:
        if not _states:
            attempt("instruments", partial(_switch_all_on, settings), None)


def switch_all_off() -> None:
    """Takes every hook out again, so that the next `switch_on` begins anew."""
    with _lock:
        _watch.forget()
        for name, instrument in _found.items():
            if _states.get(name) == "on":
                attempt(f"instrument {name}", instrument.switch_off, None)
        _states.clear()


def states() -> dict[str, str]:
    """Each instrument: `on`, or `off: ` and why."""
    return dict(_states)


def is_on(name: str) -> bool:
    return _states.get(name) == "on"


def gauges() -> list[Gauge]:
    """What the instruments that are on have to tell about this process, and which are on."""
    found = [_state_gauge(name, state) for name, state in list(_states.items())]
    for name, instrument in list(_found.items()):
        if _states.get(name) == "on":
            found += attempt(f"instrument {name}", partial(_gauges_of, instrument), [])
    return found


def enter_loop() -> None:
    """Called now and then from where requests are answered, for instruments that watch the event loop there."""
    for name, instrument in list(_found.items()):
        if _states.get(name) == "on":
            attempt(f"instrument {name}", instrument.enter_loop, None)


def leave() -> None:
    """Called when the app has shut down in order, before the last batch is sent."""
    for name, instrument in list(_found.items()):
        if _states.get(name) == "on":
            attempt(f"instrument {name}", instrument.leave, None)


def families() -> list[Family]:
    """The gauges as metric families."""
    made: dict[str, Family] = {}
    for gauge in gauges():
        kind = "counter" if gauge.is_counter else "gauge"
        family = made.setdefault(gauge.name, Family(gauge.name, kind, gauge.help))
        family.add_to(("", labels_of(gauge.labels)), gauge.value)
    return list(made.values())


def is_chosen(name: str, choice: str) -> bool:
    """Whether a setting names an instrument: `-redis` all but that, `redis,httpx` only those, `-all` none."""
    words = [word.strip().lower() for word in choice.split(",") if word.strip()]
    if "-all" in words or f"-{name}" in words:
        return False
    only = [word for word in words if not word.startswith("-") and word != "all"]
    return not only or name in only


def _state_gauge(name: str, state: str) -> Gauge:
    """1 for an instrument that is on, 0 with the reason for one that is not."""
    word, _, reason = state.partition(": ")
    labels = {"instrument": name, "state": word, **({"reason": reason} if reason else {})}
    return Gauge("tocsin_sdk_instrument", "Instruments: 1 on, 0 off and why.", "", float(word == "on"), labels)


def _gauges_of(instrument: Instrument) -> list[Gauge]:
    return list(instrument.gauges())


def _switch_all_on(settings: Settings) -> None:
    if not _found:
        _find_all()
    _states.update(_broken)
    for name, instrument in _found.items():
        if not is_chosen(name, settings.instruments):
            _states[name] = "off: left out in the settings"
        elif all(module in sys.modules for module in instrument.modules):
            _switch_one_on(name, instrument, settings)
        elif importlib.util.find_spec(instrument.modules[0].partition(".")[0]) is None:
            _states[name] = f"off: {instrument.modules[0].partition('.')[0]} is not installed"
        else:
            missing = [module for module in instrument.modules if module not in sys.modules]
            _states[name] = f"off: the app has not imported {' and '.join(missing)}"
            _watch.wait(missing, partial(_switch_one_on, name, instrument, settings))


def _find_all() -> None:
    """Every instrument that can be imported; one that cannot costs itself only."""
    from tocsin.registry import loaders

    for name, load in loaders(__name__):
        made = outcome(partial(_make, load))
        if isinstance(made, Exception):
            _broken[name] = f"off: it cannot be imported: {type(made).__name__}: {made}"
            log.warning("cannot load instrument %s: %s: %s; the others are on", name, type(made).__name__, made)
        else:
            _found[name] = made


def _make(load: Callable[[], Any]) -> Instrument:
    made: Instrument = load().Instrument()
    return made


def _switch_one_on(name: str, instrument: Instrument, settings: Settings) -> None:
    if _is_instrumented(instrument.contrib):
        _states[name] = f"off: {instrument.contrib} records it already"
        return
    try:
        instrument.switch_on(settings)
        _states[name] = "on"
    except (UnsupportedError, AttributeError, ImportError, TypeError) as error:
        instrument.switch_off()
        _states[name] = f"off: {error}"
        log.info("cannot watch %s: %s; the app is unaffected", name, error)


def _is_instrumented(contrib: str) -> bool:
    """Whether OpenTelemetry's own package has been switched on by the app. It keeps one instrumentor a class."""
    module = sys.modules.get(contrib) if contrib else None
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type)] if module else []
    made = [kind.__dict__.get("_instance") for kind in kinds if kind.__name__.endswith("Instrumentor")]
    return any(getattr(one, "is_instrumented_by_opentelemetry", False) for one in made)


class _ImportWatch(MetaPathFinder):
    """Says when modules have been imported. In `sys.meta_path` only while something is waited for."""

    def __init__(self) -> None:
        self._waiting: list[tuple[set[str], Callable[[], None]]] = []

    def wait(self, modules: Iterable[str], then: Callable[[], None]) -> None:
        self._waiting.append((set(modules), then))
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def forget(self) -> None:
        self._waiting.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not any(fullname in modules for modules, _ in self._waiting):
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(fullname, path, target) if finder is not self else None
            if spec is not None:
                attempt("import hook", partial(self._tell_after, spec), None)
                return spec
        return None

    def _tell_after(self, spec: ModuleSpec) -> None:
        """The loader stays what it is; only this once it also tells us when the module is complete."""
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            execute(module)
            attempt("import hook", lambda: self._imported(spec.name), None)

        loader.exec_module = exec_module

    def _imported(self, name: str) -> None:
        with _lock:
            ready = []
            for entry in list(self._waiting):
                entry[0].discard(name)
                if not entry[0]:
                    self._waiting.remove(entry)
                    ready.append(entry[1])
            if not self._waiting and self in sys.meta_path:
                sys.meta_path.remove(self)
        # Without the lock: these import, and another thread that imports may wait for it.
        for then in ready:
            then()


_watch = _ImportWatch()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
