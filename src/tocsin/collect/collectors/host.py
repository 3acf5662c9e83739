"""This machine: processors, memory, file systems, disks, network, under node_exporter's names; no /proc, no metrics.

Sources: proc(5), the kernel's admin-guide/iostats.rst and cgroup-v2.rst, and the metric names of node_exporter 1.9.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tocsin.model.settings import setting
from tocsin.sdk.exposition import Family

CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
GROUP = Path("/sys/fs/cgroup")  # of this container, which sees its own group there
_SECTOR_BYTES = 512
# What is no disk: kernel interfaces, and images that are always full.
_PSEUDO = frozenset(
    ("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "fusectl",
     "hugetlbfs", "mqueue", "nsfs", "overlay", "proc", "procfs", "pstore", "ramfs", "rpc_pipefs", "securityfs",
     "selinuxfs", "squashfs", "sysfs", "tmpfs", "tracefs")
)  # fmt: skip
_DISK_COLUMNS = (  # (metric, help, column of /proc/diskstats, unit)
    ("node_disk_reads_completed_total", "Reads completed.", 3, 1.0),
    ("node_disk_read_bytes_total", "Bytes read.", 5, _SECTOR_BYTES),
    ("node_disk_read_time_seconds_total", "Seconds spent by all reads.", 6, 1e-3),
    ("node_disk_writes_completed_total", "Writes completed.", 7, 1.0),
    ("node_disk_written_bytes_total", "Bytes written.", 9, _SECTOR_BYTES),
    ("node_disk_write_time_seconds_total", "Seconds spent by all writes.", 10, 1e-3),
    ("node_disk_io_time_seconds_total", "Seconds during which I/O was under way.", 12, 1e-3),
)
_NETWORK_COLUMNS = (("bytes", 0), ("packets", 1), ("errs", 2), ("drop", 3))


@dataclass(frozen=True)
class Settings:
    """How often this machine is looked at."""

    interval_seconds: float = setting(
        15.0, unit="seconds", help="Time between two looks at this machine; 0 where node_exporter is scraped instead."
    )
    proc: str = setting("/proc", help="Where the kernel's figures are; the host's /proc inside a container.")
    root: str = setting("/", help="Where the host's file systems are mounted; set it together with proc.")

    @property
    def is_on(self) -> bool:
        return self.interval_seconds > 0


def collect(settings: Settings) -> list[Family]:
    """Everything this machine tells; parts that are not there are left out."""
    found: list[Family] = []
    for part in (_cpu, _memory, _load, _disks, _network, _file_systems, _limits, _identity):
        try:
            found += part(settings)
        except OSError:
            continue  # another kernel, or a /proc that hides it
    return found


def _lines(settings: Settings, name: str) -> list[list[str]]:
    return [line.split() for line in (Path(settings.proc) / name).read_text().splitlines()]


def _cpu(settings: Settings) -> Iterator[Family]:
    seconds = Family("node_cpu_seconds_total", "counter", "Seconds each processor spent in each mode.")
    boot = Family("node_boot_time_seconds", "gauge", "When the machine started, in Unix seconds.")
    ticks = os.sysconf("SC_CLK_TCK")
    for name, *values in _lines(settings, "stat"):
        if name.startswith("cpu") and name != "cpu":
            for mode, value in zip(CPU_MODES, values, strict=False):
                seconds.add(int(value) / ticks, cpu=name[3:], mode=mode)
        elif name == "btime":
            boot.add(int(values[0]))
    yield from (seconds, boot)


def _memory(settings: Settings) -> Iterator[Family]:
    for name, value, *unit in _lines(settings, "meminfo"):
        metric = f"node_memory_{name.rstrip(':').replace('(', '_').replace(')', '')}{'_bytes' if unit else ''}"
        family = Family(metric, "gauge", f"{name.rstrip(':')} of /proc/meminfo.")
        family.add(int(value) * (1024 if unit else 1))
        yield family


def _load(settings: Settings) -> Iterator[Family]:
    [[one, five, fifteen, *_]] = _lines(settings, "loadavg")
    for minutes, value in (("1", one), ("5", five), ("15", fifteen)):
        family = Family(f"node_load{minutes}", "gauge", f"Runnable processes, mean of {minutes} minutes.")
        family.add(float(value))
        yield family


def _disks(settings: Settings) -> Iterator[Family]:
    devices = [line for line in _lines(settings, "diskstats") if not line[2].startswith(("loop", "ram"))]
    for metric, words, column, unit in _DISK_COLUMNS:
        family = Family(metric, "counter", words)
        for line in devices:
            family.add(int(line[column]) * unit, device=line[2])
        yield family


def _network(settings: Settings) -> Iterator[Family]:
    # "  eth0:123 4 …": a long number may follow the colon without a space.
    text = (Path(settings.proc) / "net" / "dev").read_text().splitlines()[2:]
    devices = [(name.strip(), values.split()) for name, _, values in (line.partition(":") for line in text)]
    for direction, first in (("receive", 0), ("transmit", 8)):
        for what, column in _NETWORK_COLUMNS:
            words = f"Network {direction}: {what}."
            family = Family(f"node_network_{direction}_{what}_total", "counter", words)
            for device, values in devices:
                family.add(int(values[first + column]), device=device)
            yield family


def _file_systems(settings: Settings) -> Iterator[Family]:
    size = Family("node_filesystem_size_bytes", "gauge", "Size of a file system.")
    free = Family("node_filesystem_free_bytes", "gauge", "Free bytes, those kept for root included.")
    available = Family("node_filesystem_avail_bytes", "gauge", "Bytes free to anybody.")
    files = Family("node_filesystem_files", "gauge", "Inodes of a file system.")
    files_free = Family("node_filesystem_files_free", "gauge", "Free inodes of a file system.")
    seen: set[str] = set()
    for device, mountpoint, kind, *_ in _lines(settings, "self/mounts"):
        if kind in _PSEUDO or device in seen:
            continue  # bind mounts show the same file system again
        mountpoint = mountpoint.replace("\\040", " ")
        try:
            stat = os.statvfs(os.path.join(settings.root, mountpoint.lstrip("/")))
        except OSError:
            continue  # not ours to look into
        seen.add(device)
        labels = {"device": device, "mountpoint": mountpoint, "fstype": kind}
        size.add(stat.f_blocks * stat.f_frsize, **labels)
        free.add(stat.f_bfree * stat.f_frsize, **labels)
        available.add(stat.f_bavail * stat.f_frsize, **labels)
        files.add(stat.f_files, **labels)
        files_free.add(stat.f_ffree, **labels)
    yield from (size, free, available, files, files_free)


def _limits(settings: Settings) -> Iterator[Family]:
    """What this container may use, where there is one: the machine's own figures say nothing about it."""
    for metric, kind, words, read in _CGROUP:
        value = read(GROUP)
        if value is not None:
            family = Family(metric, kind, words)
            family.add(value)
            yield family


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _fields(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _memory_limit(group: Path) -> float | None:
    text = _text(group / "memory.max").strip()
    return float(text) if text.isdigit() else None


def _memory_used(group: Path) -> float | None:
    """As the kubelet counts it: without the cache of files that nobody reads any more, which the kernel takes back
    before it refuses memory."""
    text = _text(group / "memory.current").strip()
    return max(0.0, float(text) - _fields(group / "memory.stat").get("inactive_file", 0)) if text.isdigit() else None


def _cores(group: Path) -> float | None:
    quota, _, period = _text(group / "cpu.max").strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period else None


def _cpu_used(group: Path) -> float | None:
    used = _fields(group / "cpu.stat").get("usage_usec")
    return None if used is None else used / 1e6


_CGROUP: tuple[tuple[str, Literal["gauge", "counter"], str, Callable[[Path], float | None]], ...] = (
    ("tocsin_cgroup_memory_limit_bytes", "gauge", "Memory this container may use.", _memory_limit),
    ("tocsin_cgroup_memory_usage_bytes", "gauge", "Memory this container needs, without idle cache.", _memory_used),
    ("tocsin_cgroup_cpu_limit_cores", "gauge", "Processors this container may use.", _cores),
    ("tocsin_cgroup_cpu_seconds_total", "counter", "Seconds of processors this container has used.", _cpu_used),
)


def _identity(settings: Settings) -> Iterator[Family]:
    now = Family("node_time_seconds", "gauge", "The clock, in Unix seconds.")
    now.add(round(time.time(), 3))
    name = platform.uname()
    about = Family("node_uname_info", "gauge", "The kernel and the machine's name.")
    about.add(1, sysname=name.system, release=name.release, machine=name.machine, nodename=name.node)
    yield from (now, about)
