"""A promtail-config.yml as it is: its files as targets with labels and stages, and what of it is not carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tocsin.collect.docker_files import DockerJob, unsupported
from tocsin.collect.log_entry import MakeStage
from tocsin.collect.log_formats import Container
from tocsin.collect.log_stages import stages_of
from tocsin.collect.relabel import RelabelError, Rule
from tocsin.collect.tail_target import PATH, Target, target_of
from tocsin.model.expected import ExpectedError

# Parts of the file that say how Promtail itself runs.
ITS_OWN = {
    "clients": "lines go to this server alone",
    "client": "lines go to this server alone",
    "server": "Tocsin listens where its own settings say",
    "positions": "positions are kept in Tocsin's data folder",
    "target_config": "see logs.look_seconds",
    "limits_config": "see [ingest]",
    "global": "Promtail's own",
    "tracing": "Promtail's own",
    "options": "Promtail's own",
    "wal": "the spool does this",
}
KNOWN_OF_JOB = {
    "job_name", "static_configs", "docker_sd_configs", "pipeline_stages", "relabel_configs", "decompression",
}  # fmt: skip
KNOWN_OF_CLIENT = {"url", "external_labels", "tenant_id"}


class TailConfigError(ExpectedError):
    """The file cannot be used; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class TailConfig:
    """A whole file. `ignored` are its parts that are not carried out, `elsewhere` those that need not be."""

    targets: tuple[Target, ...]
    docker: tuple[DockerJob, ...]
    ignored: tuple[str, ...]
    elsewhere: tuple[str, ...]


def load_tail_config(path: Path, docker_folder: Path) -> TailConfig:
    """Raises TailConfigError."""
    try:
        document = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TailConfigError(f"cannot read Promtail configuration '{path}': {error}; correct it there") from error
    if not isinstance(document, dict):
        raise TailConfigError(f"cannot use Promtail configuration '{path}': it is no mapping; see promtail-config.yml")
    elsewhere = [f"{key}: {why}" for key, why in ITS_OWN.items() if key in document]
    known = {*ITS_OWN, "scrape_configs"}
    ignored = [f"{key}: not known" for key in document if key not in known]
    labels, tenant = _of_clients(document, ignored)
    targets: list[Target] = []
    docker: list[DockerJob] = []
    for place, entry in enumerate(document.get("scrape_configs") or ()):
        name = str(entry.get("job_name") or place) if isinstance(entry, dict) else str(place)
        try:
            job = _job(entry, name, ignored)
            targets += _static(entry, job, (labels, tenant), ignored)
            if entry.get("docker_sd_configs"):
                docker.append(_docker(entry, job, docker_folder, (labels, tenant), ignored))
        except (RelabelError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise TailConfigError(f"cannot use job '{name}' in '{path}': {error}; correct it there") from error
    return TailConfig(tuple(targets), tuple(docker), tuple(dict.fromkeys(ignored)), tuple(elsewhere))


def plain_target(pattern: str, service: str) -> Target:
    """A pattern of the settings, without labels and stages of its own."""
    return Target("files", pattern, labels={"service_name": service} if service else {})


def _of_clients(document: Mapping[str, Any], ignored: list[str]) -> tuple[dict[str, str], str]:
    """What the clients would add to every line."""
    clients = [one for one in (*(document.get("clients") or ()), document.get("client")) if isinstance(one, dict)]
    if not clients:
        return {}, ""
    first = clients[0]
    ignored += [f"clients[0].{key}: not carried out" for key in first if key not in KNOWN_OF_CLIENT]
    labels = {str(name): str(value) for name, value in (first.get("external_labels") or {}).items()}
    return labels, str(first.get("tenant_id") or "")


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    stages: tuple[MakeStage, ...]
    rules: tuple[Rule, ...]


def _job(entry: Mapping[str, Any], name: str, ignored: list[str]) -> _Job:
    where = f"job {name}"
    ignored += [f"{where}: {key} is not carried out" for key in entry if key not in KNOWN_OF_JOB]
    stages: tuple[MakeStage, ...] = ()
    if entry.get("pipeline_stages"):
        stages = stages_of(entry["pipeline_stages"], f"{where}: pipeline_stages", ignored)
    return _Job(name, stages, tuple(Rule.of(rule) for rule in entry.get("relabel_configs") or ()))


def _static(
    entry: Mapping[str, Any], job: _Job, shared: tuple[Mapping[str, str], str], ignored: list[str]
) -> list[Target]:
    targets = []
    for block in entry.get("static_configs") or ():
        labels = {str(name): str(value) for name, value in (block.get("labels") or {}).items()}
        if PATH not in labels:
            ignored.append(f"job {job.name}: a static config has no {PATH}")
            continue
        target = target_of(job.name, {**shared[0], **labels}, job.rules, shared[1], job.stages or (Container,))
        if target is not None:
            targets.append(target)
    return targets


def _docker(
    entry: Mapping[str, Any], job: _Job, folder: Path, shared: tuple[Mapping[str, str], str], ignored: list[str]
) -> DockerJob:
    ignored += unsupported(entry["docker_sd_configs"], job.rules, f"job {job.name}")
    # The daemon hands out bare lines, so the stages expect no JSON around them.
    return DockerJob(job.name, folder, job.rules, *shared, (Container, *job.stages))
