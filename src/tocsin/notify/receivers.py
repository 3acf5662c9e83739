"""Receivers: whom a route names, and through which channels they are told.

Out of an alertmanager.yml as it is (`receivers:` and `global:`), and out of our own settings: `default` with every
channel that is configured, and one receiver of each channel's own name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from tocsin.collect.scrape_config import Access, access_of
from tocsin.model.delivery import Delivery
from tocsin.model.setting_values import ValueProblem, read_value, unwrapped
from tocsin.model.settings import setting_info
from tocsin.notify.contract import Channel, Listed, Origin, channels
from tocsin.notify.settings import NotifySettings
from tocsin.notify.template import check_template
from tocsin.query.templates.parse import TemplateError

DEFAULT = "default"
LOG = "log"
SPOKEN_HTTP = {"basic_auth", "authorization", "tls_config", "http_headers", "follow_redirects", "bearer_token"}
_OURS = {"send_resolved", "http_config", "tls_config"}


@dataclass(frozen=True, slots=True)
class Integration:
    """One channel of a receiver. problem: why it cannot be used; what is told to it fails with these words."""

    id: str
    channel: str
    settings: Any = field(default=None, repr=False)
    send_resolved: bool = True
    access: Access = field(default_factory=Access, repr=False)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Receiver:
    name: str
    integrations: tuple[Integration, ...]


@dataclass(frozen=True, slots=True)
class Receivers:
    """All receivers by name. notes: what of a configuration is not carried out, for the Alerts page."""

    by_name: Mapping[str, Receiver]
    notes: tuple[str, ...] = ()

    def integration_of(self, delivery: Delivery) -> Integration | None:
        """The channel a delivery went to, None when its receiver has it no more."""
        receiver = self.by_name.get(delivery.receiver)
        listed = receiver.integrations if receiver else ()
        return next((one for one in listed if one.id == delivery.integration), None)

    def with_others(self, others: Receivers) -> Receivers:
        """These and others; where both have a name, these win."""
        return Receivers({**others.by_name, **self.by_name}, (*self.notes, *others.notes))


def own_receivers(notify: NotifySettings, settings_of: Callable[[type], Any]) -> Receivers:
    """`default` and one receiver a channel, out of the sections [notify] and [notify_<channel>]."""
    every = {name: _own(name, channel, settings_of) for name, channel in channels().items()}
    wanted, notes = _wanted(notify, every)
    named = {name: Receiver(name, (one,)) for name, one in every.items()}
    named[DEFAULT] = Receiver(DEFAULT, tuple(every[name] for name in wanted))
    return Receivers(named, tuple(notes))


def alertmanager_receivers(document: Mapping[str, Any], folder: Path) -> Receivers:
    """The receivers of an alertmanager.yml; a fault in one leaves the others as they are."""
    shared = document.get("global") or {}
    made: dict[str, Receiver] = {}
    notes: list[str] = []
    for entry in document.get("receivers") or []:
        name = str(entry.get("name", ""))
        made[name] = Receiver(name, tuple(_integrations(name, entry, shared, folder, notes)))
    notes += _unreadable_templates(document.get("receivers") or [])
    return Receivers(made, tuple(notes))


def _unreadable_templates(receivers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with the templates in fields, as far as that shows without an alert."""
    for receiver in receivers:
        for key, listed in receiver.items():
            for place, entry in enumerate(listed or [] if key != "name" else []):
                for name, value in (entry or {}).items():
                    try:
                        check_template(value if isinstance(value, str) else "")
                    except TemplateError as error:
                        where = f"{receiver.get('name')}.{key}[{place}].{name}"
                        yield f"cannot fill {where}: {error}; our own words are told instead"


def _own(name: str, channel: Channel, settings_of: Callable[[type], Any]) -> Integration:
    settings = settings_of(channel.Settings)  # type: ignore[arg-type]  # a plugin's class, seen as what makes it
    lacks = settings.lacks
    problem = f"[notify_{name}] is not configured; set {lacks}" if lacks else ""
    return Integration(f"{name}[0]", name, settings, problem=problem)


def _wanted(notify: NotifySettings, every: Mapping[str, Integration]) -> tuple[list[str], list[str]]:
    """The channels of `default` in order, and what was said of channels that do not exist."""
    unknown = [name for name in notify.channels if name not in every]
    ready = [name for name, one in every.items() if not one.problem]
    wanted = [name for name in notify.channels or ready if name in every]
    for name, is_on in (("email", notify.email_enabled), ("pushover", notify.pushover_enabled)):
        if is_on and name not in wanted and name in every:
            wanted.append(name)
        elif is_on is False and name in wanted:
            wanted.remove(name)
    known = ", ".join(every)
    return wanted, [f"notify.channels names {name!r}, which is none; use some of {known}" for name in unknown]


def _integrations(
    receiver: str, entry: Mapping[str, Any], shared: Mapping[str, Any], folder: Path, notes: list[str]
) -> Iterator[Integration]:
    # Channels that Alertmanager does not have are taken under their own name: log_configs, ntfy_configs.
    known = {f"{name}_configs": name for name in channels()}
    known |= {key: name for name, channel in channels().items() for key in _origin(channel).keys}
    for key, listed in entry.items():
        if key == "name":
            continue
        for place, one in enumerate(listed or []):
            id = f"{key.removesuffix('_configs')}[{place}]"
            where = f"receiver {receiver!r}, {id}"
            if key not in known:
                problem = f"{key} is not supported here; reach it through apprise_configs or a webhook"
                notes.append(f"{where}: {problem}")
                yield Integration(id, key.removesuffix("_configs"), problem=problem)
                continue
            yield _integration(id, known[key], one or {}, shared, folder, where, notes)


def _integration(
    id: str, name: str, entry: Mapping[str, Any], shared: Mapping[str, Any], folder: Path, where: str, notes: list[str]
) -> Integration:
    channel = channels()[name]
    origin = _origin(channel)
    send_resolved = bool(entry.get("send_resolved", origin.send_resolved))
    try:
        access = _access(entry, shared, folder, where, notes)
        settings = _settings(channel, origin, entry, shared, folder, where, notes)
        lacks = settings.lacks
        problem = f"it lacks {lacks}" if lacks else _no_address(settings)
    except (ValueProblem, ValueError, OSError, AttributeError, TypeError) as error:
        settings, access, problem = None, Access(), str(error)
    if problem:
        notes.append(f"cannot use {where}: {problem}")
    return Integration(id, name, settings, send_resolved, access, problem)


def _no_address(settings: Any) -> str:
    """Which field should be an address and is none; its text may be a secret. A template may become one."""
    for name in ("api_url", "webhook_url") if hasattr(settings, "api_url") else ("webhook_url", "url"):
        said = getattr(settings, name, "")
        if said and "{{" not in said and not said.startswith(("http://", "https://")):
            return f"its {name} is no address; write one that begins with https://"
    return ""


def _settings(
    channel: Channel,
    origin: Origin,
    entry: Mapping[str, Any],
    shared: Mapping[str, Any],
    folder: Path,
    where: str,
    notes: list[str],
) -> Any:
    given = {origin.shared[name]: value for name, value in _plain_names(shared, origin.shared, folder)}
    for name, value in _plain_names(entry, None, folder):
        given[origin.renamed.get(name, name)] = value
    hints = get_type_hints(channel.Settings)
    fields = {one.name: one for one in dataclasses.fields(channel.Settings)}  # type: ignore[arg-type]  # as above
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in _OURS or value is None:
            continue
        if (listed := origin.listed.get(name)) is not None and _is_maps(value):
            value = list(_texts(value, listed, f"{where}: {name}", notes))
        if name not in fields:
            notes.append(f"{where}: {name} is not carried out")
            continue
        try:
            values[name] = read_value(hints[name], setting_info(fields[name]), _raw(hints[name], value))
        except ValueProblem as error:
            raise ValueProblem(f"{name} has to be {error}") from error
    return channel.Settings(**values)


def _plain_names(block: Mapping[str, Any], wanted: Mapping[str, str] | None, folder: Path) -> Iterator[tuple[str, Any]]:
    """(name, value) of a block; `x_file` becomes x with what is in the file. wanted: leave out all other names."""
    for name, value in block.items():
        plain = name.removesuffix("_file") if isinstance(value, str) else name
        if wanted is not None and plain not in wanted:
            continue
        is_file = plain != name and name not in ("cert_file", "key_file", "ca_file")
        yield plain if is_file else name, (folder / value).read_text().strip() if is_file else value


def _is_maps(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _texts(value: Sequence[Mapping[str, Any]], listed: Listed, where: str, notes: list[str]) -> Iterator[str]:
    for place, one in enumerate(value):
        if not (text := listed.text(one)):
            lacks = f"it has no {listed.name} with {' or '.join(listed.values)}"
            notes.append(f"{where}[{place}] is not carried out: {lacks}")
            continue
        notes += [f"{where}[{place}].{key} is not carried out" for key in listed.unknown(one)]
        yield text


def _raw(hint: Any, value: Any) -> Any:
    """YAML's value as the setting's type reads it: numbers as text, a map as "name=value"."""
    inner, _ = unwrapped(hint)
    if inner is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Mapping):
        return tuple(f"{name}={one}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str) and value and isinstance(value[0], Mapping):
        raise ValueProblem("a plain value; lists of maps are not carried out")
    return value


def _access(entry: Mapping[str, Any], shared: Mapping[str, Any], folder: Path, where: str, notes: list[str]) -> Access:
    http = {**(shared.get("http_config") or {}), **(entry.get("http_config") or {})}
    notes += [f"{where}: http_config.{key} is not carried out" for key in http if key not in SPOKEN_HTTP]
    tls = entry.get("tls_config") or shared.get("smtp_tls_config") if "http_config" not in entry else None
    return access_of({**http, **({"tls_config": tls} if tls else {})}, folder, where, notes)


def _origin(channel: Channel) -> Origin:
    return getattr(channel, "ALERTMANAGER", Origin(()))
