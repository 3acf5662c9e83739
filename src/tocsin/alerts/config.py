"""An alertmanager.yml as it is: routes, inhibition, time intervals, receivers; and what of it is not carried out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path as File
from typing import Any

from tocsin.alerts.config_parts import Reader
from tocsin.alerts.inhibit import InhibitRule
from tocsin.alerts.matcher_text import in_order, read_matchers
from tocsin.alerts.route import Route, child_key
from tocsin.model.expected import ExpectedError
from tocsin.model.time_interval import IntervalError, TimeInterval, time_interval_of
from tocsin.model.yaml_text import Path, TextError, read_yaml

DEFAULT_TEXT = """\
# What is in force without an alertmanager.yml: one receiver, alerts grouped by name and tenant, the worst at once, the
# least in a digest.
route:
  receiver: default
  group_by: [alertname, tenant]
  group_wait: 10s
  group_interval: 1m
  repeat_interval: 4h
  routes:
    - matchers: ['severity=~"(?i)p0|emergency|page|disaster|fatal|p1|critical|crit|alert"']
      group_wait: 0s
      repeat_interval: 1h
    - matchers: ['severity=~"(?i)p4|info|low|notice|none|debug"']
      group_by: [tenant]
      group_wait: 5m
      group_interval: 4h
      repeat_interval: 1d
receivers:
  - name: default
    log_configs:
      - {}
inhibit_rules:
  - source_matchers: ['severity=~"(?i)p0|emergency|page|p1|critical"']
    target_matchers: ['severity=~"(?i)p3|warning|p4|info|low|medium"']
    equal: [alertname, tenant, service, instance]
"""
_TOP = {
    "global", "templates", "route", "receivers", "inhibit_rules", "mute_time_intervals", "time_intervals", "tracing",
}  # fmt: skip
_ROUTE = {
    "receiver", "group_by", "matchers", "match", "match_re", "group_wait", "group_interval", "repeat_interval",
    "continue", "mute_time_intervals", "active_time_intervals", "routes",
}  # fmt: skip
_INHIBIT = {
    "source_matchers", "target_matchers", "source_match", "target_match", "source_match_re", "target_match_re",
    "equal", "name",
}  # fmt: skip
# Integrations of Alertmanager that say nothing of resolved alerts unless asked to.
_SILENT_ON_RESOLVED = {"email_configs", "slack_configs", "wechat_configs", "rocketchat_configs"}


class AlertConfigError(ExpectedError):
    """The file cannot be used; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class RawReceiver:
    """A receiver as it stands in the file; `integrations` holds its *_configs for notify to read."""

    name: str
    integrations: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0

    @property
    def sends_resolved(self) -> bool:
        """Whether any of its integrations tells of resolved alerts."""
        return any(
            bool(one.get("send_resolved", kind not in _SILENT_ON_RESOLVED)) if isinstance(one, dict) else True
            for kind, configs in self.integrations.items()
            for one in (configs or [{}])
        )


@dataclass(frozen=True, slots=True)
class AlertConfig:
    """A whole file. `ignored` are its parts that are not carried out, a sentence each; `text` is the file."""

    route: Route
    receivers: tuple[RawReceiver, ...]
    inhibit_rules: tuple[InhibitRule, ...] = ()
    intervals: Mapping[str, tuple[TimeInterval, ...]] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)  # `global`, for notify
    templates: tuple[str, ...] = ()
    resolve_timeout_seconds: float = 300.0
    ignored: tuple[str, ...] = ()
    text: str = ""
    folder: str = "."  # what templates and secret files are relative to

    def receiver(self, name: str) -> RawReceiver:
        return next(each for each in self.receivers if each.name == name)

    def template_files(self) -> list[File]:
        """The files that `templates` names, by its patterns, relative to the file's folder."""
        return [File(one) for pattern in self.templates for one in sorted(glob(str(File(self.folder) / pattern)))]


def with_route_for(config: AlertConfig, label: str, receiver: str) -> AlertConfig:
    """The same with a first route that leads every alert with this label to the receiver, at once and apart."""
    matchers = read_matchers(f'{label}=~".+"')
    first = Route(
        f"{config.route.id}.{label}", child_key(config.route.key, matchers), receiver, matchers,
        group_by=None, group_wait_seconds=0.0, group_interval_seconds=1.0,
    )  # fmt: skip
    route = dataclasses.replace(config.route, routes=(first, *config.route.routes))
    has_receiver = any(one.name == receiver for one in config.receivers)
    receivers = config.receivers if has_receiver else (*config.receivers, RawReceiver(receiver))
    return dataclasses.replace(config, route=route, receivers=receivers)


def load_alert_config(file: str) -> AlertConfig:
    """The file's, or the default for ''. Raises AlertConfigError."""
    if not file:
        return read_alert_config(DEFAULT_TEXT, "the default alert configuration")
    path = File(file)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AlertConfigError(f"cannot read alert configuration '{file}': {error}; correct it there") from error
    return dataclasses.replace(read_alert_config(text, f"'{file}'"), folder=str(path.absolute().parent))


def read_alert_config(text: str, what: str = "alertmanager.yml") -> AlertConfig:
    """Raises AlertConfigError with the line of every fault."""
    try:
        plain = read_yaml(text, what)
    except TextError as error:
        raise AlertConfigError(f"{error}; correct it there") from error
    reader = Reader(plain)
    made = _config(reader, plain.value if isinstance(plain.value, dict) else {}, text)
    if reader.problems or made is None:
        faults = "\n  ".join(str(problem) for problem in reader.problems[:20])
        raise AlertConfigError(f"cannot use alert configuration {what}, correct it there:\n  {faults}")
    return made


def _config(reader: Reader, document: Mapping[str, Any], text: str) -> AlertConfig | None:
    reader.only_known(document, (), _TOP)
    for key in ("tracing",):
        if document.get(key):
            reader.ignored.append(f"{key}: not carried out")
    receivers = _receivers(reader, document)
    intervals = _intervals(reader, document)
    route = document.get("route")
    if not isinstance(route, dict):
        reader.fault(("route",), "there is no root route; add `route:` with a receiver")
        return None
    for key in ("match", "match_re", "matchers"):
        if route.get(key):
            reader.fault(("route", key), "the root route takes every alert; move the matchers to a route below it")
    for key in ("mute_time_intervals", "active_time_intervals"):
        if route.get(key):
            reader.fault(("route", key), "the root route cannot have time intervals; give them to a route below it")
    if route.get("continue"):
        reader.fault(("route", "continue"), "the root route cannot continue; remove it")
    names = {receiver.name for receiver in receivers}
    tree = _route(reader, ("route",), route, Route("0", "{}", ""), _Names(names, set(intervals)), "0")
    shared = reader.mapping(document.get("global"), ("global",))
    timeout = reader.seconds(shared, ("global",), "resolve_timeout", 300.0)
    return AlertConfig(
        route=tree,
        receivers=tuple(receivers),
        inhibit_rules=tuple(_inhibit_rules(reader, document)),
        intervals=intervals,
        shared=shared,
        templates=tuple(str(one) for one in reader.listed(document.get("templates"), ("templates",))),
        resolve_timeout_seconds=timeout,
        ignored=tuple(dict.fromkeys(reader.ignored)),
        text=text,
    )


@dataclass(frozen=True, slots=True)
class _Names:
    receivers: set[str]
    intervals: set[str]


def _route(reader: Reader, path: Path, plain: Mapping[str, Any], parent: Route, names: _Names, id: str) -> Route:
    reader.only_known(plain, path, _ROUTE)
    matchers = in_order(reader.matchers(plain, path, "match", "match_re", "matchers"))
    receiver = str(plain.get("receiver") or parent.receiver)
    if receiver not in names.receivers:
        cause = f"there is no receiver {receiver!r}; add it under receivers" if receiver else "it names no receiver"
        reader.fault((*path, "receiver"), cause)
    made = Route(
        id=id,
        key="{}" if id == "0" else child_key(parent.key, matchers),
        receiver=receiver,
        matchers=matchers,
        group_by=_group_by(reader, path, plain, parent),
        group_wait_seconds=reader.seconds(plain, path, "group_wait", parent.group_wait_seconds),
        group_interval_seconds=reader.seconds(
            plain, path, "group_interval", parent.group_interval_seconds, least=0.001
        ),
        repeat_interval_seconds=reader.seconds(
            plain, path, "repeat_interval", parent.repeat_interval_seconds, least=0.001
        ),
        continues=reader.flag(plain, path, "continue"),
        mute_times=_interval_names(reader, path, plain, "mute_time_intervals", names),
        active_times=_interval_names(reader, path, plain, "active_time_intervals", names),
        line=reader.line(path),
    )
    children = [
        _route(
            reader,
            (*path, "routes", place),
            reader.mapping(one, (*path, "routes", place)),
            made,
            names,
            f"{id}.{place}",
        )
        for place, one in enumerate(reader.listed(plain.get("routes"), (*path, "routes")))
    ]
    return dataclasses.replace(made, routes=tuple(children))


def _group_by(reader: Reader, path: Path, plain: Mapping[str, Any], parent: Route) -> frozenset[str] | None:
    if plain.get("group_by") is None:
        return parent.group_by
    names = [str(one) for one in reader.listed(plain["group_by"], (*path, "group_by"))]
    if "..." in names:
        if len(names) > 1:
            reader.fault((*path, "group_by"), "'...' is every label and stands alone; remove the others")
        return None
    if len(set(names)) < len(names):
        reader.fault((*path, "group_by"), "a label is there twice; remove one")
    return frozenset(names)


def _interval_names(reader: Reader, path: Path, plain: Mapping[str, Any], key: str, names: _Names) -> tuple[str, ...]:
    given = tuple(str(one) for one in reader.listed(plain.get(key), (*path, key)))
    for place, name in enumerate(given):
        if name not in names.intervals:
            reader.fault((*path, key, place), f"there is no time interval {name!r}; add it under time_intervals")
    return given


def _receivers(reader: Reader, document: Mapping[str, Any]) -> list[RawReceiver]:
    found: list[RawReceiver] = []
    for place, plain in enumerate(reader.listed(document.get("receivers"), ("receivers",))):
        path: Path = ("receivers", place)
        one = reader.mapping(plain, path)
        name = str(one.get("name") or "")
        if not name:
            reader.fault(path, "this receiver has no name; give it one")
        if any(each.name == name for each in found):
            reader.fault(path, f"there are two receivers {name!r}; rename one")
        integrations: dict[str, Any] = {}
        for key, configs in one.items():
            if key == "name":
                continue
            if not key.endswith("_configs"):
                reader.fault((*path, key), "there is no such key; integrations end in _configs, as webhook_configs")
            integrations[key] = [
                reader.mapping(each, (*path, key, number))
                for number, each in enumerate(reader.listed(configs, (*path, key)))
            ]
        found.append(RawReceiver(name, integrations, reader.line(path)))
    return found


def _intervals(reader: Reader, document: Mapping[str, Any]) -> dict[str, tuple[TimeInterval, ...]]:
    found: dict[str, tuple[TimeInterval, ...]] = {}
    for key in ("time_intervals", "mute_time_intervals"):
        for place, plain in enumerate(reader.listed(document.get(key), (key,))):
            path: Path = (key, place)
            one = reader.mapping(plain, path)
            reader.only_known(one, path, {"name", "time_intervals"})
            name = str(one.get("name") or "")
            if not name or name in found:
                reader.fault(
                    path, f"two time intervals have the name {name!r}; rename one" if name else "it has no name"
                )
            made = []
            for number, part in enumerate(reader.listed(one.get("time_intervals"), (*path, "time_intervals"))):
                try:
                    made.append(time_interval_of(part))
                except IntervalError as error:
                    reader.fault((*path, "time_intervals", number, *error.path), str(error))
            found[name] = tuple(made)
    return found


def _inhibit_rules(reader: Reader, document: Mapping[str, Any]) -> list[InhibitRule]:
    found = []
    for place, plain in enumerate(reader.listed(document.get("inhibit_rules"), ("inhibit_rules",))):
        path: Path = ("inhibit_rules", place)
        one = reader.mapping(plain, path)
        reader.only_known(one, path, _INHIBIT)
        found.append(
            InhibitRule(
                in_order(reader.matchers(one, path, "source_match", "source_match_re", "source_matchers")),
                in_order(reader.matchers(one, path, "target_match", "target_match_re", "target_matchers")),
                tuple(str(name) for name in reader.listed(one.get("equal"), (*path, "equal"))),
                reader.line(path),
            )
        )
    return found
