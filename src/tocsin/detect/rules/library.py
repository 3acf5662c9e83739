"""All rule files there are: those that come with Tocsin, those of a folder, and those made here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Literal

import structlog

from tocsin.detect.rules.rule import RuleFile
from tocsin.detect.rules.rule_text import read_rules
from tocsin.detect.settings import RuleSettings
from tocsin.model.control import StoredRules
from tocsin.model.threshold_profiles import with_figures
from tocsin.model.yaml_text import TextError
from tocsin.storage.control.rules import Rules

log = structlog.get_logger("tocsin.rules")

Origin = Literal["pack", "folder", "custom"]
CUSTOM = "custom/"
"""What the names of files made here begin with."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file with where it is from. version: of one made here, else 0."""

    file: RuleFile
    origin: Origin
    text: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that cannot be used now, and why."""

    name: str
    origin: Origin
    reason: str


class Library:
    """All rule files of a server, read as often as asked; of one that cannot be used, what it said before goes on."""

    def __init__(self, settings: RuleSettings, rules: Rules) -> None:
        self._settings = settings
        self._rules = rules
        self._last_good: dict[str, Loaded] = {}

    def read(self) -> tuple[list[Loaded], list[Unreadable]]:
        """The files that are in force, and those that cannot be used."""
        found = list(packs(self._settings.profile)) if self._settings.is_packs_on else []
        folder, bad = folder_files(self._settings.folder)
        custom, more = custom_files(self._rules.files())
        found += [*folder, *custom]
        bad += more
        for one in bad:
            log.warning("rules.unreadable", file=one.name, reason=one.reason)
            if one.name in self._last_good:
                found.append(self._last_good[one.name])
        self._last_good = {one.file.name: one for one in found}
        return found, bad

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """Changes when a file of the folder does."""
        return stamp_of(self._settings.folder)


@cache
def pack_texts() -> dict[str, str]:
    """The shipped files as they are in the package, figures not filled in."""
    folder = Path(str(files("tocsin.detect") / "packs"))
    return {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.yaml"))}


@cache
def packs(profile: str) -> tuple[Loaded, ...]:
    """The shipped rules with the figures of a profile. Raises TextError: then Tocsin itself is broken."""
    filled = {name: with_figures(text, profile) for name, text in pack_texts().items()}
    return tuple(Loaded(read_rules(text, f"packs/{name}"), "pack", text) for name, text in filled.items())


def rule_paths(folder: str) -> list[Path]:
    return sorted([*Path(folder).glob("*.yml"), *Path(folder).glob("*.yaml")]) if folder else []


def stamp_of(folder: str) -> tuple[tuple[str, int, int], ...]:
    """Changes when a file of the folder does."""
    found = []
    for path in rule_paths(folder):
        try:
            said = path.stat()
        except OSError:
            continue  # gone between listing and looking; the next look has another stamp
        found.append((path.name, said.st_mtime_ns, said.st_size))
    return tuple(found)


def folder_files(folder: str) -> tuple[list[Loaded], list[Unreadable]]:
    return _all([(path.name, "folder", partial(_text_of, path), 0) for path in rule_paths(folder)])


def custom_files(stored: Iterable[StoredRules]) -> tuple[list[Loaded], list[Unreadable]]:
    return _all([(f"{CUSTOM}{one.id}", "custom", partial(str, one.text), one.version) for one in stored])


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise OSError(f"it is no UTF-8 ({error})") from error


def _all(
    sources: Sequence[tuple[str, Origin, Callable[[], str], int]],
) -> tuple[list[Loaded], list[Unreadable]]:
    found: list[Loaded] = []
    bad: list[Unreadable] = []
    for name, origin, read, version in sources:
        try:
            text = read()
            found.append(Loaded(read_rules(text, name), origin, text, version))
        except TextError as error:
            bad.append(Unreadable(name, origin, "; ".join(str(problem) for problem in error.problems[:20])))
        except OSError as error:
            bad.append(Unreadable(name, origin, f"cannot read rule file '{name}': {error}; make it readable"))
    return found, bad
