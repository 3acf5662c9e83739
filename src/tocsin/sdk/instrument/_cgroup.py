"""What the container allows this process: processor, memory, and what it was kept from. Control groups v1 and v2.

Sources: the kernel's admin-guide/cgroup-v2 and cgroup-v1. Within a container the own group is usually the root of what
is seen; beside it the path of `/proc/self/cgroup` is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
# v1 says "no limit" with the largest number of pages.
_UNLIMITED = 1 << 60


class Container:
    """Reads the files of one control group; each figure is None where there is none."""

    def __init__(self, root: Path = ROOT, membership: Path = MEMBERSHIP) -> None:
        self._root = root
        self._groups = dict(_groups(membership))

    def cpu_limit_cores(self) -> float | None:
        quota, _, period = (self._read("cpu.max") or "").strip().partition(" ")
        if not quota:
            quota = (self._read("cpu.cfs_quota_us", "cpu") or "").strip()
            period = (self._read("cpu.cfs_period_us", "cpu") or "").strip()
        if not quota or quota in ("max", "-1") or not period:
            return None
        return int(quota) / int(period)

    def cpu_throttled_seconds(self) -> float | None:
        """Time in which the group had work to do and was not let."""
        stats = self._numbers("cpu.stat") or self._numbers("cpu.stat", "cpu")
        if "throttled_usec" in stats:
            return stats["throttled_usec"] / 1e6
        return stats["throttled_time"] / 1e9 if "throttled_time" in stats else None

    def memory_limit_bytes(self) -> int | None:
        text = (self._read("memory.max") or self._read("memory.limit_in_bytes", "memory") or "").strip()
        return int(text) if text.isdecimal() and int(text) < _UNLIMITED else None

    def oom_kills(self) -> int:
        """Processes of the group that the kernel has killed for want of memory; 0 where it cannot be told."""
        stats = self._numbers("memory.events") or self._numbers("memory.oom_control", "memory")
        return stats.get("oom_kill", 0)

    def _numbers(self, name: str, controller: str = "") -> dict[str, int]:
        lines = (line.split() for line in (self._read(name, controller) or "").splitlines())
        return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdecimal()}

    def _read(self, name: str, controller: str = "") -> str | None:
        own = self._groups.get(controller, "/").lstrip("/")
        for folder in (self._root / controller / own, self._root / controller):
            try:
                return (folder / name).read_text()
            except OSError:
                continue
        return None


def _groups(membership: Path) -> Iterator[tuple[str, str]]:
    """(controller, path) of each; '' is the one hierarchy of v2."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            yield controller, path
