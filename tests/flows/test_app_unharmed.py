"""Whatever happens to the server, the product that it watches answers as before, and what was lost is counted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from demo.tenants import PASSWORD, user_email
from odd_server import Mood, OddServer
from product_process import ProductProcess
from server_process import ServerProcess

from waiting import eventually

pytestmark = pytest.mark.xdist_group("app unharmed")
CLIENTS, REQUESTS_EACH = 4, 60
QUEUES = {"TOCSIN_QUEUE_SPANS": "400", "TOCSIN_QUEUE_BYTES": "150000"}
MEMORY_BYTES = 60 * 1024**2
"""What the product may grow by while its telemetry goes nowhere; its queues hold far less than a megabyte here."""


class Load:
    """People who use the product, several at a time."""

    def __init__(self, product: ProductProcess) -> None:
        self._product = product
        self.requests = 0
        with product.client() as client:
            credentials = {"email": user_email("acme", 1), "password": PASSWORD}
            token = client.post("/api/v1/auth/login", json=credentials).json()["token"]
        self.requests += 1
        self._headers = {"authorization": f"Bearer {token}"}

    def run(self) -> list[float]:
        """Seconds of each request; all of them must succeed."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            parts = list(pool.map(lambda _: self._one_person(), range(CLIENTS)))
        return [seconds for part in parts for seconds in part]

    def _one_person(self) -> list[float]:
        taken = []
        with self._product.client() as client:
            for number in range(REQUESTS_EACH):
                path = "/api/v1/projects" if number % 4 == 0 else "/api/v1/auth/me"
                started = time.perf_counter()
                answer = client.get(path, headers=self._headers)
                taken.append(time.perf_counter() - started)
                assert answer.status_code == 200, answer.text
        self.requests += REQUESTS_EACH
        return taken


def quantiles(seconds: list[float]) -> tuple[float, float]:
    """p50 and p95."""
    cuts = statistics.quantiles(seconds, n=20)
    return cuts[9], cuts[18]


def product_arguments(folder: Path) -> list[str]:
    return ["product", "--port", "0", "--data", str(folder / "product"), "--latency", "0"]


@pytest.fixture
def odd_place(start_server: Callable[..., ServerProcess]) -> Iterator[tuple[ServerProcess, OddServer]]:
    """A stopped server, and what stands in its place."""
    server = start_server()
    server.stop()
    odd = OddServer(int(server.url.rpartition(":")[2]))
    yield server, odd
    odd.become(Mood.DOWN)


def dropped(product: ProductProcess) -> dict[str, int]:
    """What the product says it lost, by signal and reason."""
    with product.client() as client:
        counted: dict[str, int] = client.get("/api/v1/monitoring/status").json()["monitoring"]["dropped"]
    return counted


def test_product_answers_as_before_and_counts_what_it_lost(
    tmp_path: Path,
    odd_place: tuple[ServerProcess, OddServer],
    start_product: Callable[..., ProductProcess],
) -> None:
    server, odd = odd_place
    odd.become(Mood.WELL)
    product = start_product(product_arguments(tmp_path), {"TOCSIN_ENDPOINT": server.url, **QUEUES})
    load = Load(product)
    load.run()
    before_bytes = product.resident_bytes()
    for mood in (Mood.REFUSING, Mood.DOWN, Mood.HANGING, Mood.FAILING, Mood.GARBAGE, Mood.SLOW):
        assert_unharmed(load, odd, mood)
    odd.become(Mood.DOWN)
    eventually(
        lambda: load.run() and dropped(product).get("traces.queue_full"), "the full queue is counted", pause_seconds=1.0
    )
    assert dropped(product)["traces.http_400"] > 0
    assert product.resident_bytes() - before_bytes < MEMORY_BYTES
    assert "Traceback" not in (tmp_path / "product-0.log").read_text()

    server.start()
    said = eventually(lambda: doctor_on_exporters(server), "doctor names what was lost", pause_seconds=1.0)
    assert "tallyroom dropped" in said


def doctor_on_exporters(server: ServerProcess) -> str:
    """The exporters' line of `tocsin doctor` once it is a warning about drops."""
    checks = server.ask("/api/v1/doctor")["checks"]
    detail = next(str(check["detail"]) for check in checks if check["name"] == "exporters")
    return detail if "dropped" in detail else ""


def assert_unharmed(load: Load, odd: OddServer, mood: Mood) -> None:
    """No request fails, and p50 and p95 stay near those beside a well server; other tests may disturb one try."""
    tries = []
    for _ in range(3):
        odd.become(Mood.WELL)
        well_p50, well_p95 = quantiles(load.run())
        odd.become(mood)
        odd_p50, odd_p95 = quantiles(load.run())
        tries.append((mood, well_p50, odd_p50, well_p95, odd_p95))
        if odd_p50 < 2 * well_p50 + 0.003 and odd_p95 < 3 * well_p95 + 0.02:
            return
    raise AssertionError(f"the product is slower beside a server in this mood (p50, p95 well and so): {tries}")


def test_numbers_are_exact_after_the_server_was_away(
    tmp_path: Path, server: ServerProcess, start_product: Callable[..., ProductProcess]
) -> None:
    # On a quick machine the product logs more lines a second than are sent of one kind.
    environ = {"TOCSIN_ENDPOINT": server.url, "TOCSIN_LOG_RATE": "1000000"}
    product = start_product(product_arguments(tmp_path), environ)
    load = Load(product)
    load.run()
    server.kill()
    load.run()
    server.start()
    load.run()

    def counted() -> int:
        return sum(row["red"]["requests"] for row in server.ask("/api/v1/services")["services"])

    eventually(lambda: counted() >= load.requests, "every request is counted", pause_seconds=0.5)
    assert counted() == load.requests
    assert dropped(product) == {}
