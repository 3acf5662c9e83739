"""A prometheus.yml as it is: its scrape_configs as jobs, and a list of what in it is not carried out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tocsin.collect.relabel import RelabelError, Rule
from tocsin.collect.tls import checked
from tocsin.model.expected import ExpectedError

_UNITS_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_UNITS_BYTES = {"": 1, "B": 1, "KB": 2**10, "KIB": 2**10, "MB": 2**20, "MIB": 2**20, "GB": 2**30, "GIB": 2**30}
DISCOVERIES = ("static_configs", "file_sd_configs", "http_sd_configs")
# Parts of the file that are for others to carry out, and which setting does.
ELSEWHERE = {
    "rule_files": "; rules.folder names the rules",
    "alerting": "; rules.alertmanagers names who is told beside Tocsin's own routes",
    "remote_write": "", "remote_read": "", "storage": "", "tracing": "", "runtime": "", "otlp": "",
}  # fmt: skip
GLOBAL = {
    "scrape_interval", "scrape_timeout", "evaluation_interval", "external_labels", "sample_limit", "label_limit",
    "label_name_length_limit", "label_value_length_limit", "target_limit", "body_size_limit", "scrape_protocols",
}  # fmt: skip
JOB = {
    "job_name", "scrape_interval", "scrape_timeout", "metrics_path", "scheme", "params", "honor_labels",
    "honor_timestamps", "track_timestamps_staleness", "basic_auth", "authorization", "bearer_token",
    "bearer_token_file", "tls_config", "follow_redirects", "http_headers", "relabel_configs",
    "metric_relabel_configs", "sample_limit", "label_limit", "label_name_length_limit", "label_value_length_limit",
    "target_limit", "body_size_limit", "scrape_protocols", "enable_compression", *DISCOVERIES,
}  # fmt: skip


class ScrapeConfigError(ExpectedError):
    """The file cannot be used; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a job's targets, or an http_sd endpoint, are spoken to."""

    username: str = ""
    password: str = ""
    password_file: str = ""
    authorization: str = ""  # its type, such as Bearer
    credentials: str = field(default="", repr=False)
    credentials_file: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    follow_redirects: bool = True
    tls: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Targets with labels in common."""

    targets: tuple[str, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Job:
    """One entry of scrape_configs. A limit of 0 is none."""

    name: str
    interval_seconds: float
    timeout_seconds: float
    scheme: str
    path: str
    params: Mapping[str, Sequence[str]]
    honor_labels: bool
    honor_timestamps: bool
    access: Access
    groups: tuple[Group, ...]
    files: tuple[tuple[str, float], ...]  # pattern and seconds between looks
    urls: tuple[tuple[str, float, Access], ...]
    rules: tuple[Rule, ...]
    metric_rules: tuple[Rule, ...]
    sample_limit: int
    label_limit: int
    label_name_length_limit: int
    label_value_length_limit: int
    target_limit: int
    body_size_limit: int


@dataclass(frozen=True, slots=True)
class ScrapeConfig:
    """A whole file. `ignored` are its parts that are not carried out, a sentence each."""

    jobs: tuple[Job, ...]
    ignored: tuple[str, ...]


def load_scrape_config(path: Path) -> ScrapeConfig:
    """Raises ScrapeConfigError."""
    try:
        document = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScrapeConfigError(f"cannot read scrape configuration '{path}': {error}; correct it there") from error
    if not isinstance(document, dict):
        raise ScrapeConfigError(f"cannot use scrape configuration '{path}': it is no mapping; see prometheus.yml")
    ignored = [f"{key}: not for scraping{ELSEWHERE[key]}" for key in document if key in ELSEWHERE]
    ignored += [f"{key}: not known" for key in document if key not in {*ELSEWHERE, "global", "scrape_configs"}]
    shared = document.get("global") or {}
    ignored += [f"global.{key}: not carried out" for key in shared if key not in GLOBAL]
    ignored += [f"global.{key}: not carried out" for key in ("external_labels",) if shared.get(key)]
    ignored += [f"{key}: not carried out" for key in ("scrape_config_files",) if document.get(key)]
    jobs: list[Job] = []
    for entry in document.get("scrape_configs") or ():
        try:
            jobs.append(_job(entry, shared, path.parent, ignored))
        except (RelabelError, ValueError, TypeError, KeyError) as error:
            name = entry.get("job_name", "?") if isinstance(entry, dict) else "?"
            raise ScrapeConfigError(f"cannot use job '{name}' in '{path}': {error}; correct it there") from error
        if any(job.name == jobs[-1].name for job in jobs[:-1]):
            raise ScrapeConfigError(f"cannot use job '{jobs[-1].name}' in '{path}': it is there twice; rename one")
    return ScrapeConfig(tuple(jobs), tuple(dict.fromkeys(ignored)))


def plain_job(name: str, interval_seconds: float) -> Job:
    """A job with nothing but a name, for what is read without HTTP; its metrics know their instances."""
    entry = {"job_name": name, "scrape_interval": f"{round(interval_seconds * 1000)}ms", "honor_labels": True}
    return _job(entry, {}, Path(), [])


def seconds_of(text: Any) -> float:
    """Prometheus' durations, such as 1m30s. Raises ValueError."""
    parts = re.findall(r"(\d+)(ms|[smhdwy])", str(text))
    if not parts or "".join(number + unit for number, unit in parts) != str(text):
        raise ValueError(f"{text!r} is no duration such as 15s or 1m30s")
    return sum(int(number) * _UNITS_SECONDS[unit] for number, unit in parts)


def bytes_of(text: Any) -> int:
    """Prometheus' sizes, such as 10MB. Raises ValueError."""
    found = re.fullmatch(r"(\d+)\s*([A-Za-z]*)", str(text))
    if found is None or found[2].upper() not in _UNITS_BYTES:
        raise ValueError(f"{text!r} is no size such as 10MB")
    return int(found[1]) * _UNITS_BYTES[found[2].upper()]


def _job(entry: Mapping[str, Any], shared: Mapping[str, Any], folder: Path, ignored: list[str]) -> Job:
    name = str(entry.get("job_name") or "")
    if not name:
        raise ValueError("it has no job_name")
    ignored += [f"job {name}: {key} is not carried out" for key in entry if key not in JOB]
    scheme = str(entry.get("scheme", "http"))
    if scheme not in ("http", "https"):
        raise ValueError(f"scheme {scheme!r} is neither http nor https")
    interval = seconds_of(entry.get("scrape_interval") or shared.get("scrape_interval") or "1m")
    timeout = seconds_of(entry.get("scrape_timeout") or shared.get("scrape_timeout") or "10s")
    if interval <= 0:
        raise ValueError("scrape_interval is 0")

    def limit(key: str) -> int:
        return int(entry.get(key, shared.get(key, 0)) or 0)

    return Job(
        name=name,
        interval_seconds=interval,
        timeout_seconds=min(timeout, interval),
        scheme=scheme,
        path=str(entry.get("metrics_path", "/metrics")),
        params={key: [str(item) for item in values] for key, values in (entry.get("params") or {}).items()},
        honor_labels=bool(entry.get("honor_labels", False)),
        honor_timestamps=bool(entry.get("honor_timestamps", True)),
        access=access_of(entry, folder, f"job {name}", ignored),
        groups=tuple(_group(group) for group in entry.get("static_configs") or ()),
        files=tuple(
            (str(folder / pattern), seconds_of(block.get("refresh_interval", "5m")))
            for block in entry.get("file_sd_configs") or ()
            for pattern in block["files"]
        ),
        urls=tuple(
            (block["url"], seconds_of(block.get("refresh_interval", "60s")), access_of(block, folder, name, []))
            for block in entry.get("http_sd_configs") or ()
        ),
        rules=tuple(Rule.of(rule) for rule in entry.get("relabel_configs") or ()),
        metric_rules=tuple(Rule.of(rule) for rule in entry.get("metric_relabel_configs") or ()),
        sample_limit=limit("sample_limit"),
        label_limit=limit("label_limit"),
        label_name_length_limit=limit("label_name_length_limit"),
        label_value_length_limit=limit("label_value_length_limit"),
        target_limit=limit("target_limit"),
        body_size_limit=bytes_of(entry.get("body_size_limit", shared.get("body_size_limit", 0)) or 0),
    )


def _group(block: Mapping[str, Any]) -> Group:
    labels = {str(key): str(value) for key, value in (block.get("labels") or {}).items()}
    return Group(tuple(str(target) for target in block.get("targets") or ()), labels)


def groups_of(document: Any) -> tuple[Group, ...]:
    """What a discovery file or endpoint lists. Raises ValueError."""
    if not isinstance(document, list) or not all(isinstance(block, dict) for block in document):
        raise ValueError("it is no list of {targets, labels}")
    return tuple(_group(block) for block in document)


def access_of(entry: Mapping[str, Any], folder: Path, where: str, ignored: list[str]) -> Access:
    """How to be let in, out of an entry in the terms of Prometheus' http_config; what is left out goes to `ignored`."""
    basic, authorization = entry.get("basic_auth") or {}, dict(entry.get("authorization") or {})
    if "bearer_token" in entry or "bearer_token_file" in entry:
        authorization = {
            "credentials": entry.get("bearer_token"), "credentials_file": entry.get("bearer_token_file"),
        }  # fmt: skip
    if basic and authorization:
        raise ValueError("it has both basic_auth and authorization; keep one")
    asked = entry.get("tls_config") or {}
    tls = checked(asked)
    ignored += [f"{where}: tls_config.{key} is not carried out" for key in asked if key not in tls]
    for key in ("ca_file", "cert_file", "key_file"):
        if tls.get(key):
            tls[key] = str(folder / tls[key])
    headers = [(name, value) for name, block in (entry.get("http_headers") or {}).items() for value in block["values"]]

    def file(value: Any) -> str:
        return str(folder / value) if value else ""

    return Access(
        username=str(basic.get("username", "")),
        password=str(basic.get("password", "")),
        password_file=file(basic.get("password_file")),
        authorization=str(authorization.get("type", "Bearer")) if authorization else "",
        credentials=str(authorization.get("credentials") or ""),
        credentials_file=file(authorization.get("credentials_file")),
        headers=tuple(headers),
        follow_redirects=bool(entry.get("follow_redirects", True)),
        tls=tls,
    )
