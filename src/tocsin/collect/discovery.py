"""The targets of a job: listed in it, in files, or at a URL; with their labels after relabelling."""

from __future__ import annotations

import base64
import glob
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import yaml

from tocsin.collect.relabel import relabelled
from tocsin.collect.scrape_config import Access, Group, Job, groups_of, seconds_of
from tocsin.collect.tls import tls_context

MAX_LIST_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Target:
    """Something to scrape. `discovered` are its labels before relabelling."""

    job: str
    url: str
    labels: tuple[tuple[str, str], ...]
    discovered: tuple[tuple[str, str], ...]
    interval_seconds: float
    timeout_seconds: float


@dataclass(slots=True)
class Discovered:
    """The targets of one look. `dropped` were taken out by relabelling."""

    targets: list[Target]
    dropped: list[Mapping[str, str]]


class Discovery:
    """Looks up a job's targets; what a source said last holds while it fails, and `problems` say why."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.problems: dict[str, str] = {}
        self._seen: dict[str, tuple[float, tuple[Group, ...]]] = {}

    async def look(self) -> Discovered:
        """All targets now."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], Target] = {}
        dropped: list[Mapping[str, str]] = []
        for group in await self._groups():
            for address in group.targets:
                labels = self._labels(address, group)
                target = _target(self.job, labels)
                if target is None:
                    dropped.append(labels)
                else:
                    found.setdefault((target.url, target.labels), target)
        return Discovered(list(found.values()), dropped)

    async def _groups(self) -> list[Group]:
        groups = list(self.job.groups)
        for pattern, every in self.job.files:
            for name in sorted(glob.glob(pattern)):
                groups += self._of_file(name, every)
        for url, every, access in self.job.urls:
            groups += await self._of_url(url, every, access)
        return groups

    def _of_file(self, name: str, every: float) -> tuple[Group, ...]:
        del every  # a file is cheap to look at: a change counts at once
        try:
            self._seen[name] = (0.0, groups_of(yaml.safe_load(Path(name).read_text("utf-8"))))
            self.problems.pop(name, None)
        except (OSError, ValueError, yaml.YAMLError, AttributeError) as error:
            self.problems[name] = f"cannot read targets from '{name}': {error}; the former ones stay"
        return self._seen.get(name, (0.0, ()))[1]

    async def _of_url(self, url: str, every: float, access: Access) -> tuple[Group, ...]:
        looked, groups = self._seen.get(url, (0.0, ()))
        if looked and time.monotonic() - looked < every:
            return groups
        try:
            async with http_client(access, 30.0) as client:
                answer = await client.get(url, headers=headers_of(access))
                answer.raise_for_status()
                if len(answer.content) > MAX_LIST_BYTES:
                    raise ValueError(f"it is larger than {MAX_LIST_BYTES} bytes")
                groups = groups_of(answer.json())
            self.problems.pop(url, None)
        except (httpx2.HTTPError, OSError, ValueError, AttributeError) as error:
            self.problems[url] = f"cannot read targets from {url}: {error}; the former ones stay"
        self._seen[url] = (time.monotonic(), groups)
        return groups

    def _labels(self, address: str, group: Group) -> dict[str, str]:
        job = self.job
        return {
            "job": job.name,
            "__address__": address,
            "__scheme__": job.scheme,
            "__metrics_path__": job.path,
            "__scrape_interval__": f"{round(job.interval_seconds * 1000)}ms",
            "__scrape_timeout__": f"{round(job.timeout_seconds * 1000)}ms",
            **{f"__param_{name}": values[0] for name, values in job.params.items() if values},
            **group.labels,
        }


def _target(job: Job, discovered: Mapping[str, str]) -> Target | None:
    labels = relabelled(discovered, job.rules)
    address = labels.get("__address__", "") if labels is not None else ""
    if labels is None or not address:
        return None
    if "/" in address:
        raise ValueError(f"target {address!r} has a path; write host:port and metrics_path")
    scheme = labels.get("__scheme__", "http")
    params: dict[str, Any] = {name: list(values) for name, values in job.params.items()}
    for name, value in labels.items():
        if name.startswith("__param_"):
            params[name[8:]] = [value, *params.get(name[8:], [])[1:]]
    query = f"?{urlencode(params, doseq=True)}" if params else ""
    url = f"{scheme}://{address}{labels.get('__metrics_path__', '/metrics')}{query}"
    public = {name: value for name, value in labels.items() if not name.startswith("__")}
    public.setdefault("instance", address)
    return Target(
        job.name,
        url,
        tuple(sorted(public.items())),
        tuple(sorted(discovered.items())),
        seconds_of(labels.get("__scrape_interval__", "1m")),
        seconds_of(labels.get("__scrape_timeout__", "10s")),
    )


def headers_of(access: Access) -> dict[str, str]:
    """The headers that let us in; secrets are read from their files each time, so they may change."""
    headers = dict(access.headers)
    if access.username or access.password or access.password_file:
        password = Path(access.password_file).read_text().strip() if access.password_file else access.password
        pair = base64.b64encode(f"{access.username}:{password}".encode()).decode()
        headers["authorization"] = f"Basic {pair}"
    elif access.authorization:
        secret = Path(access.credentials_file).read_text().strip() if access.credentials_file else access.credentials
        headers["authorization"] = f"{access.authorization} {secret}"
    return headers


def http_client(access: Access, timeout_seconds: float) -> httpx2.AsyncClient:
    """Raises OSError when a certificate cannot be read."""
    verify = tls_context(access.tls) if access.tls else True
    return httpx2.AsyncClient(
        timeout=timeout_seconds, verify=verify, follow_redirects=access.follow_redirects, trust_env=False
    )
