"""How a package declares its settings: a frozen dataclass whose fields are made by `setting`.

`tocsin.config` fills such classes from tocsin.toml, the environment and the command line; every other layer only
declares them and receives them as arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field
from typing import Any, Literal

Unit = Literal["seconds", "bytes", "hours", "days", ""] | str
"""What a number counts. "seconds" also takes "15m", "bytes" also "64MB", "hours" and "days" also a duration."""


ByName = tuple[tuple[str, float], ...]
"""A field of quantities by name: a table in a file, "debug=3d,info=14d" in a variable."""


@dataclass(frozen=True, slots=True)
class Alias:
    """Another environment name of a setting; a bare number in it counts `unit` when that differs from the field's."""

    name: str
    unit: Unit = ""


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """What a settings field says of itself beside its name, type and default."""

    help: str
    unit: Unit = ""
    aliases: tuple[Alias, ...] = ()
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class Preset:
    """Defaults that belong together."""

    help: str
    """Whom it is for."""
    values: Mapping[str, Any]
    """By dotted name ("ingest.require_key"), as tocsin.toml would say it."""


def setting(
    default: Any, *, help: str, unit: Unit = "", env: tuple[str | Alias, ...] = (), secret: bool = False
) -> Any:
    """A dataclass field that configuration can fill.

    `help` is a sentence that says what it steers and when to change it. `env` are short or historic environment names
    beside TOCSIN_<SECTION>_<FIELD>. A secret is masked wherever settings are printed.
    """
    aliases = tuple(name if isinstance(name, Alias) else Alias(name) for name in env)
    info = SettingInfo(help=help, unit=unit, aliases=aliases, is_secret=secret)
    return field(default=default, repr=not secret, metadata={"setting": info})


def setting_info(declared: Field[Any]) -> SettingInfo:
    """What `setting` noted on a field.

    Raises TypeError for a field made any other way: a setting without a default and a help sentence is a fault of ours.
    """
    info = declared.metadata.get("setting")
    if not isinstance(info, SettingInfo) or declared.default is MISSING:
        raise TypeError(f"cannot use settings field '{declared.name}': declare it with setting(default, help=…)")
    return info
