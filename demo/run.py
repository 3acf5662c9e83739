"""Starts the renderer, the product and its traffic, and stops them together."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from demo.processes import Child, StartError
from demo.tenants import TENANTS

DEFAULT_PORT = 8000


@dataclass(frozen=True)
class RunSettings:
    """How the demo is run."""

    port: int = DEFAULT_PORT
    """Of the product; 0 is any free one, and so is the default when it is taken."""
    rate: float = 25.0
    """Requests a second, average over a day."""
    endpoint: str | None = None
    """The Tocsin server to report to; None leaves it to the environment."""
    key: str | None = None
    """The ingest key; None leaves it to the environment."""
    data_folder: Path | None = None
    """Where the product keeps its data; None is a temporary folder, removed at the end."""


def run_demo(settings: RunSettings) -> int:
    """Run until SIGINT or SIGTERM (exit code 0) or until a child dies (1)."""
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with ExitStack() as stack:
        folder = settings.data_folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tallyroom-")))
        children: list[Child] = []
        try:
            _start(settings, folder, children)
            return _watch(children, stopped)
        except StartError as error:
            print(error, flush=True)
            return 1
        finally:
            _stop(children)


def choose_port(wanted: int) -> int:
    """The wanted port, or 0 (any free one) when it is taken."""
    if wanted == 0:
        return 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted


def _start(settings: RunSettings, folder: Path, children: list[Child]) -> None:
    environment = _environment(settings)
    folder.mkdir(parents=True, exist_ok=True)
    renderer = Child(
        "the invoice renderer", ["renderer", "--port", "0", "--log", str(folder / "renderer.log")], environment
    )
    children.append(renderer)
    renderer_url = renderer.wait_for_url()
    _say("renderer", renderer_url)

    port = choose_port(settings.port)
    if port != settings.port:
        _say("product", f"port {settings.port} is taken, choosing a free one")
    log = folder / "product.log"
    arguments = ["product", "--port", str(port), "--data", str(folder), "--renderer", renderer_url, "--log", str(log)]
    product = Child("the product", arguments, environment)
    children.append(product)
    product_url = product.wait_for_url()
    _say("product", f"{product_url}  (API at {product_url}/docs)")

    traffic = Child("the traffic", ["traffic", "--url", product_url, "--rate", str(settings.rate)], environment)
    children.append(traffic)
    traffic.pass_on_output()
    _say("traffic", f"about {settings.rate:g} requests/s of {len(TENANTS)} tenants")
    _say("log", f"{log} has the product's tracebacks")
    url = "" if port == DEFAULT_PORT else f" --url {product_url}"
    _say("faults", f"python -m demo fault list{url}")
    _say("", f"python -m demo fault errors-for-one-tenant on --tenant acme{url}")


def _watch(children: list[Child], stopped: threading.Event) -> int:
    while not stopped.wait(0.2):
        for child in children:
            code = child.exit_code()
            if code is not None:
                print(f"{child.name} ended with exit code {code}; stopping the demo", flush=True)
                return 1
    return 0


def _stop(children: list[Child]) -> None:
    # The traffic goes first: requests to a product that stops would only be errors.
    for child in reversed(children):
        child.interrupt()
    for child in reversed(children):
        child.stop()


def _environment(settings: RunSettings) -> dict[str, str]:
    environment = dict(os.environ)
    if settings.endpoint:
        environment["TOCSIN_ENDPOINT"] = settings.endpoint
    if settings.key:
        environment["TOCSIN_INGEST_KEY"] = settings.key
    return environment


def _say(who: str, what: str) -> None:
    print(f"{who:<9} {what}", flush=True)
