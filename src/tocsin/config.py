"""Fills every package's settings from a preset, tocsin.toml, the environment and the command line, and says from which.

Enters: the settings classes by section name, the TOML file, the environment, command-line overrides. Leaves: one
`Config` that hands out the filled dataclasses. Later sources win in that order; nothing else is read.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from tocsin.model.expected import ExpectedError
from tocsin.model.setting_values import ValueProblem, printed, read_value, type_text
from tocsin.model.settings import Preset, SettingInfo, Unit, setting_info
from tocsin.sdk.settings import VARIABLES as SDK_VARIABLES

OTHERS_VARIABLES = SDK_VARIABLES | {"TOCSIN_API_TOKEN"}
"""Of the SDK and of commands, which may be set where the server is started."""

Section = TypeVar("Section")
Key = tuple[str, str]  # (section, field)
DEFAULT = "default"
COMMAND_LINE = "command line"
PRESET, PRESET_VARIABLE = "preset", "TOCSIN_PRESET"


class ConfigError(ExpectedError):
    """The configuration cannot be used; one line a fault, each with its remedy. Stops the start."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value some source gave, before it is read as the field's type."""

    raw: Any
    origin: str
    unit: Unit = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """A row of `tocsin config explain`."""

    section: str
    name: str
    value: str  # as a person writes it; secrets are masked
    origin: str  # "default", "preset production", "tocsin.toml line 4", "environment TOCSIN_DATA" or "command line"
    help: str

    @property
    def dotted(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name


@dataclass(frozen=True, slots=True)
class Config:
    """The filled settings: `config[AuthSettings]` gives that section."""

    sections: Mapping[str, object]
    origins: Mapping[Key, str]
    preset: Found | None = None  # the preset in force and what chose it

    def __getitem__(self, section: type[Section]) -> Section:
        for filled in self.sections.values():
            if type(filled) is section:
                return filled
        raise KeyError(f"cannot give settings {section.__name__}: they were not among the sections loaded")


@dataclass(frozen=True, slots=True)
class _Declared:
    """A settings field with everything needed to fill it."""

    section: str
    name: str
    hint: Any
    info: SettingInfo

    @property
    def key(self) -> Key:
        return self.section, self.name

    @property
    def dotted(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        return f"TOCSIN_{self.section}_{self.name}".upper()


def load(
    sections: Mapping[str, type],
    toml_path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
    presets: Mapping[str, Preset] | None = None,
) -> Config:
    """Every section filled: defaults, then the preset's, then the TOML file, the environment, and `overrides`.

    `toml_path` None means no file. `overrides` are command-line options by dotted name ("server.port"), and "preset";
    None means the option was not given. An environment variable that is empty counts as not set.
    Raises ConfigError listing every fault found.
    """
    declared = {field.key: field for name, cls in sections.items() for field in _fields(name, cls)}
    problems: list[str] = []
    text, tables = ("", {}) if toml_path is None else _file_tables(toml_path)
    options = dict(overrides)
    preset = _chosen_preset(options.pop(PRESET, None), environ, (toml_path, text, tables.pop(PRESET, None)))
    found = _from_preset(preset, presets or {}, declared, problems)
    if toml_path is not None:
        found |= _from_toml(toml_path, text, tables, sections, declared, problems)
    found |= _from_environment(environ, declared, problems)
    found |= _from_overrides(options, declared, problems)
    values = _read_all(found, declared, problems)
    filled = {name: _construct(name, cls, values, problems) for name, cls in sections.items()}
    if problems:
        raise ConfigError("\n".join(problems))
    origins = {key: found[key].origin if key in found else DEFAULT for key in declared}
    return Config(sections=filled, origins=origins, preset=preset)


def explain(config: Config) -> list[Explained]:
    """Every setting with its value and where it came from, in the order declared; the preset first."""
    chosen = config.preset or Found("", DEFAULT)
    rows = [Explained("", PRESET, str(chosen.raw), chosen.origin, "The set of defaults to start from.")]
    for section, filled in config.sections.items():
        for field in _fields(section, type(filled)):
            value = printed(getattr(filled, field.name), field.info)
            rows.append(Explained(section, field.name, value, config.origins[field.key], field.info.help))
    return rows


def reference(sections: Mapping[str, type]) -> str:
    """The settings reference as Markdown: one table a section."""
    return "\n".join(line for name, cls in sections.items() for line in _reference_table(name, cls))


def preset_reference(sections: Mapping[str, type], presets: Mapping[str, Preset]) -> str:
    """What each preset makes of the settings it speaks of, as a Markdown table."""
    lines = [f"| setting | default | {' | '.join(presets)} |", "|---|---|" + "---|" * len(presets)]
    named = {dotted for preset in presets.values() for dotted in preset.values}
    for section, cls in sections.items():
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        for field in _fields(section, cls):
            if field.dotted in named:
                raws = [preset.values.get(field.dotted, defaults[field.name]) for preset in presets.values()]
                values = [defaults[field.name], *(read_value(field.hint, field.info, raw) for raw in raws)]
                lines.append(f"| `{field.dotted}` | {' | '.join(f'`{printed(it, field.info)}`' for it in values)} |")
    return "\n".join(lines)


def _reference_table(section: str, cls: type) -> Iterator[str]:
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    yield from (f"## [{section}]", "", "| key | default | value | variable | what it does |", "|---|---|---|---|---|")
    for field in _fields(section, cls):
        default = printed(defaults[field.name], field.info)
        names = ", ".join(f"`{name}`" for name in [field.variable, *(alias.name for alias in field.info.aliases)])
        shown = f"`{default}`" if default else "not set"
        yield f"| `{field.name}` | {shown} | {type_text(field.hint, field.info)} | {names} | {field.info.help} |"
    yield ""


def _fields(section: str, cls: type) -> Iterator[_Declared]:
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        yield _Declared(section, field.name, hints[field.name], setting_info(field))


def _chosen_preset(option: Any, environ: Mapping[str, str], file: tuple[Path | None, str, Any]) -> Found | None:
    """The preset that the command line, else the environment, else the file names; None when none does."""
    path, text, in_file = file
    if option is not None:
        return Found(option, COMMAND_LINE)
    if environ.get(PRESET_VARIABLE):
        return Found(environ[PRESET_VARIABLE], f"environment {PRESET_VARIABLE}")
    if path is not None and in_file is not None:
        return Found(in_file, _place_in(path, text, "", PRESET))
    return None


def _from_preset(
    chosen: Found | None, presets: Mapping[str, Preset], declared: Mapping[Key, _Declared], problems: list[str]
) -> dict[Key, Found]:
    if chosen is None:
        return {}
    if not isinstance(chosen.raw, str) or chosen.raw not in presets:
        problems.append(
            _unknown(f"{PRESET} {chosen.raw!r} from {chosen.origin}", str(chosen.raw), presets, PRESET, "{}")
        )
        return {}
    by_name = {field.dotted: field.key for field in declared.values()}
    origin = f"{PRESET} {chosen.raw}"
    return {by_name[dotted]: Found(raw, origin) for dotted, raw in presets[chosen.raw].values.items()}


def _from_toml(
    path: Path,
    text: str,
    tables: Mapping[str, Any],
    sections: Mapping[str, type],
    declared: Mapping[Key, _Declared],
    problems: list[str],
) -> dict[Key, Found]:
    found: dict[Key, Found] = {}
    for section, table in tables.items():
        if section not in sections or not isinstance(table, dict):
            problems.append(_unknown(f"[{section}] in {path}", section, sections, "table", "[{}]"))
            continue
        for name, raw in table.items():
            if (section, name) in declared:
                found[section, name] = Found(raw, _place_in(path, text, section, name))
            else:
                names = [field for known, field in declared if known == section]
                problems.append(_unknown(f"{section}.{name} in {path}", name, names, "key", section + ".{}"))
    return found


def _file_tables(path: Path) -> tuple[str, dict[str, Any]]:
    """The file as text and as tables."""
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"cannot read {path}: {error}; correct the TOML there") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read configuration file '{path}': {error}; name a readable UTF-8 file") from error


def _place_in(path: Path, text: str, section: str, name: str) -> str:
    line = _line_of(text, section, name)
    return f"{path.name} line {line}" if line else path.name


def _line_of(text: str, section: str, name: str) -> int | None:
    """The line where a key is set; None where TOML spells it in a way this scan does not follow."""
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
            table = header[1]
        elif key := re.match(r'\s*((?:[\w-]+\s*\.\s*)?)"?([\w-]+)"?\s*=', line):
            prefix = key[1].strip(" .")
            if key[2] == name and (table or prefix) == section:
                return number
    return None


def _from_environment(
    environ: Mapping[str, str], declared: Mapping[Key, _Declared], problems: list[str]
) -> dict[Key, Found]:
    known = {PRESET_VARIABLE}
    found: dict[Key, Found] = {}
    for field in declared.values():
        # The full name first: it wins over an alias that says something else.
        for variable, unit in [(field.variable, ""), *((alias.name, alias.unit) for alias in field.info.aliases)]:
            known.add(variable)
            if environ.get(variable) and field.key not in found:
                found[field.key] = Found(environ[variable], f"environment {variable}", unit)
    for variable in sorted(environ):
        if variable.startswith("TOCSIN_") and variable not in known and variable not in OTHERS_VARIABLES:
            candidates = known | OTHERS_VARIABLES
            problems.append(_unknown(f"environment variable {variable}", variable, candidates, "variable", "{}"))
    return found


def _from_overrides(
    overrides: Mapping[str, Any], declared: Mapping[Key, _Declared], problems: list[str]
) -> dict[Key, Found]:
    by_name = {field.dotted: field.key for field in declared.values()}
    found: dict[Key, Found] = {}
    for dotted, raw in overrides.items():
        if dotted not in by_name:
            problems.append(_unknown(f"option {dotted}", dotted, by_name, "setting", "{}"))
        elif raw is not None:
            found[by_name[dotted]] = Found(raw, COMMAND_LINE)
    return found


def _read_all(found: Mapping[Key, Found], declared: Mapping[Key, _Declared], problems: list[str]) -> dict[Key, Any]:
    values: dict[Key, Any] = {}
    for key, given in found.items():
        field = declared[key]
        try:
            values[key] = read_value(field.hint, field.info, given.raw, given.unit)
        except ValueProblem as error:
            shown = "(secret)" if field.info.is_secret else repr(given.raw)
            problems.append(
                f"cannot use {field.dotted} = {shown} from {given.origin}: expected {error}; correct it there"
            )
    return values


def _construct(section: str, cls: type, values: Mapping[Key, Any], problems: list[str]) -> object:
    mine = {name: value for (known, name), value in values.items() if known == section}
    try:
        return cls(**mine)
    except ValueError as error:  # a settings class checks its own bounds in __post_init__
        problems.append(f"cannot use [{section}]: {error}")
        return None


def _unknown(what: str, name: str, known: Iterable[str], kind: str, shape: str) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    advice = f"did you mean {shape.format(nearest[0])}? Rename or remove it" if nearest else "remove it"
    return f"cannot use {what}: there is no such {kind}; {advice}"
