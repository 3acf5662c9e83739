"""Collectors against a real kernel, Redis and PostgreSQL, and against ones that are not there."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.collect.collectors import host, postgres, redis
from tocsin.registry import plugins
from tocsin.sdk.exposition import Family, render
from waiting import eventually, is_listening


def by_name(families: list[Family]) -> dict[str, Family]:
    return {family.name: family for family in families}


def only(family: Family) -> float:
    [value] = family.samples.values()
    return value


def test_every_collector_keeps_the_contract() -> None:
    for name, module in plugins("tocsin.collect.collectors"):
        settings = module.Settings()
        assert settings.interval_seconds > 0, name
        assert isinstance(module.collect(settings), list), name


def test_the_host_tells_its_processors_memory_disks_and_network() -> None:
    found = by_name(host.collect(host.Settings()))
    assert any(dict(labels)["mode"] == "idle" for _, labels in found["node_cpu_seconds_total"].samples)
    assert 0 < only(found["node_memory_MemAvailable_bytes"]) < only(found["node_memory_MemTotal_bytes"])
    assert all(value >= 0 for value in found["node_filesystem_avail_bytes"].samples.values())
    assert ("", (("device", "lo"),)) in found["node_network_receive_bytes_total"].samples
    assert abs(only(found["node_time_seconds"]) - time.time()) < 5


def test_the_host_reads_what_the_kernel_writes(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "stat").write_text("cpu 1 2 3\ncpu0 100 0 50 1000 7 0 1 2 0 0\nbtime 1700000000\n")
    (tmp_path / "diskstats").write_text(
        "   8 0 sda 10 0 8 40 5 0 16 20 0 30 60 0 0 0 0\n   7 0 loop0 1 0 1 1 1 0 1 1 0 1 1 0 0 0 0\n"
    )
    (tmp_path / "net" / "dev").write_text("a\nb\n  eth0:123 4 1 2 0 0 0 0 567 8 3 4 0 0 0 0\n")
    found = by_name(host.collect(host.Settings(proc=str(tmp_path))))
    ticks = 100
    assert found["node_cpu_seconds_total"].samples["", (("cpu", "0"), ("mode", "idle"))] == 1000 / ticks
    assert found["node_disk_read_bytes_total"].samples == {("", (("device", "sda"),)): 8 * 512}
    assert found["node_disk_io_time_seconds_total"].samples == {("", (("device", "sda"),)): 0.03}
    assert found["node_network_transmit_errs_total"].samples == {("", (("device", "eth0"),)): 3}
    assert "node_memory_MemTotal_bytes" not in found  # no meminfo, and nothing made up


def test_a_container_tells_what_it_uses_of_what_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "GROUP", tmp_path)
    assert not any(name.startswith("tocsin_cgroup") for name in by_name(host.collect(host.Settings())))
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("950\n")
    (tmp_path / "memory.stat").write_text("anon 300\nfile 650\ninactive_file 600\n")
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 2000000\n")

    found = by_name(host.collect(host.Settings()))

    told = {name.removeprefix("tocsin_cgroup_"): only(one) for name, one in found.items() if "cgroup" in name}
    assert told == {
        "memory_limit_bytes": 1000,
        "memory_usage_bytes": 350,
        "cpu_limit_cores": 0.5,
        "cpu_seconds_total": 2.5,
    }


def test_the_text_of_every_collector_is_read_by_prometheus() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed; run scripts/debian-packages")
    text = render(host.collect(host.Settings()), openmetrics=False)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    # node_exporter's own names have the kernel's capitals in them.
    complaints = [line for line in checked.stderr.splitlines() if "camelCase" not in line]
    assert complaints == []


@pytest.fixture
def redis_url(tmp_path: Path, free_tcp_port: int) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed; run scripts/debian-packages")
    command = [program, "--port", str(free_tcp_port), "--requirepass", "s3cret", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            eventually(lambda: is_listening(free_tcp_port), "Redis listens")
            yield f"redis://:s3cret@127.0.0.1:{free_tcp_port}"
        finally:
            server.terminate()


def test_a_redis_that_is_there_is_up_and_tells(redis_url: str) -> None:
    found = by_name(redis.collect(redis.Settings(urls=(redis_url,))))
    assert only(found["redis_up"]) == 1
    assert only(found["redis_connected_clients"]) >= 1
    assert only(found["redis_memory_used_bytes"]) > 100_000


def test_a_redis_with_another_password_is_down_and_no_secret_is_shown(redis_url: str) -> None:
    found = redis.collect(redis.Settings(urls=(redis_url.replace("s3cret", "wrong"),)))
    assert only(by_name(found)["redis_up"]) == 0
    assert "wrong" not in render(found, openmetrics=False)


def test_a_server_that_is_not_there_is_down(free_tcp_port: int) -> None:
    quick = {"timeout_seconds": 0.5}
    found = redis.collect(redis.Settings(urls=(f"redis://127.0.0.1:{free_tcp_port}",), **quick))
    assert only(by_name(found)["redis_up"]) == 0
    found = postgres.collect(postgres.Settings(urls=(f"postgresql://x@127.0.0.1:{free_tcp_port}/x",), **quick))
    assert (only(by_name(found)["pg_up"]), only(by_name(found)["postgres_up"])) == (0, 0)


def test_a_server_that_never_answers_is_down() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}"
        began = time.monotonic()
        found = redis.collect(redis.Settings(urls=(url,), timeout_seconds=0.3))
        assert only(by_name(found)["redis_up"]) == 0
        assert time.monotonic() - began < 3


def test_a_postgresql_that_is_there_is_up_and_tells(postgres_url: str) -> None:
    found = by_name(postgres.collect(postgres.Settings(urls=(postgres_url,))))
    assert (only(found["pg_up"]), only(found["postgres_up"])) == (1, 1)
    assert only(found["pg_settings_max_connections"]) == 100
    name = postgres_url.partition("@/")[2].partition("?")[0]
    sizes = {dict(labels)["datname"]: value for (_, labels), value in found["pg_database_size_bytes"].samples.items()}
    assert sizes[name] > 1_000_000
    assert only(found["pg_replication_lag_seconds"]) == 0
