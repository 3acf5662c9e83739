"""Containers found by the files that Docker keeps of them, so that their logs are read without asking the daemon.

Beside each container's log lies config.v2.json with its name and labels; they become the labels that Promtail's
docker_sd_configs give.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tocsin.collect.log_entry import MakeStage
from tocsin.collect.log_formats import Container
from tocsin.collect.relabel import Rule
from tocsin.collect.tail_target import EXCLUDE, PATH, Target, target_of

META = "__meta_docker_container_"
STREAM = f"{META}log_stream"
KNOWN = {"host", "refresh_interval", "port", "host_networking_host", "filters"}


@dataclass(frozen=True, slots=True)
class DockerJob:
    """The containers of one folder, such as /var/lib/docker/containers."""

    name: str
    folder: Path
    rules: tuple[Rule, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    tenant: str = ""
    stages: tuple[MakeStage, ...] = (Container,)

    def targets(self) -> Iterator[Target]:
        """One for each container that is there now and that relabelling keeps."""
        for path in sorted(self.folder.glob("*/config.v2.json")):
            try:
                container = orjson.loads(path.read_bytes())
            except (OSError, orjson.JSONDecodeError):
                continue  # it is being made or removed
            labels = {**self.labels, **labels_of(container)} if isinstance(container, dict) else {}
            if target := target_of(self.name, labels, self.rules, self.tenant, self.stages):
                yield target


def labels_of(container: Mapping[str, Any]) -> dict[str, str]:
    """What is known of a container; {} for one that does not log into a file."""
    config, host = container.get("Config") or {}, container.get("HostConfig") or {}
    log_path = str(container.get("LogPath") or "")
    if not log_path:
        return {}
    found = {
        PATH: f"{_literal(log_path)}*",  # those that Docker has rotated away, too
        EXCLUDE: "*.tmp",
        f"{META}id": str(container.get("ID") or ""),
        f"{META}name": str(container.get("Name") or ""),
        f"{META}network_mode": str(host.get("NetworkMode") or ""),
    }
    for name, value in (config.get("Labels") or {}).items():
        found[f"{META}label_{re.sub(r'[^a-zA-Z0-9_]', '_', str(name))}"] = str(value)
    return found


def unsupported(entries: Any, rules: tuple[Rule, ...], where: str) -> Iterator[str]:
    """What of docker_sd_configs is not carried out, a sentence each."""
    for entry in entries:
        for key in entry:
            if key not in KNOWN:
                yield f"{where}: docker_sd_configs.{key} is not carried out"
        for one in entry.get("filters") or ():
            yield f"{where}: docker_sd_configs.filters {one.get('name')!r} is not carried out; use relabel_configs"
        host = str(entry.get("host") or "unix:")
        if not host.startswith("unix:"):
            yield f"{where}: docker_sd_configs.host {host!r}: containers of this machine are read, from their files"
    for rule in rules:
        if STREAM in rule.sources and rule.target != "stream":
            yield f"{where}: {STREAM} is there as label stream only, not as {rule.target!r}"


def _literal(path: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", path)
