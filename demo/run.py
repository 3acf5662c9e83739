"""Starts the product with its renderer and traffic, if wanted with a server that watches it, and stops all together."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from demo.processes import Child, StartError
from demo.switchboard import switch_fault
from demo.tenants import TENANTS

DEFAULT_PORT = 8000
DEFAULT_SERVER_PORT = 4318
DEFAULT_GRPC_PORT = 4317


@dataclass(frozen=True)
class OwnServer:
    """A Tocsin server that runs as long as the demo."""

    data_folder: Path
    """Where it keeps its state; an earlier demo's goes on."""
    port: int = DEFAULT_SERVER_PORT
    """0 is any free one, and so is the wanted one when it is taken."""
    grpc_port: int = DEFAULT_GRPC_PORT
    """Of OTLP/gRPC; 0 as above."""


@dataclass(frozen=True)
class Deploy:
    """A deployment while the demo runs: the product stops and comes back as another release."""

    release: str
    after_minutes: float = 5.0
    """From the start of the demo."""
    fault: str = ""
    """The bug that the new release ships, see `python -m demo fault list`; '' is a good release."""
    tenant: str | None = None
    """Whom the bug hurts; None is the fault's own default."""


@dataclass(frozen=True)
class RunSettings:
    """How the demo is run."""

    port: int = DEFAULT_PORT
    """Of the product; 0 is any free one, and so is the default when it is taken."""
    rate: float = 25.0
    """Requests a second, average over a day."""
    endpoint: str | None = None
    """The Tocsin server to report to; None leaves it to the environment."""
    server: OwnServer | None = None
    """The Tocsin server to start and report to, instead of `endpoint`."""
    key: str | None = None
    """The ingest key; None leaves it to the environment."""
    data_folder: Path | None = None
    """Where the product keeps its data; None is a temporary folder, removed at the end."""
    release: str | None = None
    """The release the product starts as; None is its own."""
    deploy: Deploy | None = None
    """The deployment to play; None plays none."""


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
            redeploy = _start(settings, folder, children)
            return _watch(children, stopped, settings.deploy, redeploy)
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


def _start(settings: RunSettings, folder: Path, children: list[Child]) -> Callable[[Deploy], None]:
    """Start everything; gives what plays a deployment."""
    watcher = _start_server(settings.server, children) if settings.server else None
    product_url, redeploy = _start_product(settings, watcher.url if watcher else settings.endpoint, folder, children)
    port_option = "" if product_url.endswith(f":{DEFAULT_PORT}") else f" --url {product_url}"
    fault = f"{_python()} -m demo fault"
    _say("faults", f"{fault} list{port_option}")
    _say("", f"{fault} errors-for-one-tenant on --tenant acme{port_option}")
    if watcher:
        _say("open", watcher.url)
        if watcher.setup_link:
            _say("", f"{watcher.setup_link}  (once: makes the administrator you sign in as)")
        _say("stop", "Ctrl-C")
    return redeploy


@dataclass(frozen=True)
class _Watcher:
    url: str
    setup_link: str  # '' when there is an administrator


def _start_server(settings: OwnServer, children: list[Child]) -> _Watcher:
    port, grpc_port = choose_port(settings.port), choose_port(settings.grpc_port)
    for wanted, chosen in ((settings.port, port), (settings.grpc_port, grpc_port)):
        if chosen != wanted:
            _say("tocsin", f"port {wanted} is taken, choosing a free one")
    arguments = ["--data", str(settings.data_folder), "--port", str(port), "--grpc-port", str(grpc_port)]
    server = Child("the server", ["server", *arguments], os.environ)
    children.append(server)
    url = server.wait_for_url("is ready on ")
    _say("tocsin", f"{url}  (state in {settings.data_folder})")
    links = [word for line in server.said for word in line.split() if "/setup/" in word]
    return _Watcher(url, links[0] if links else "")


def _start_product(
    settings: RunSettings, endpoint: str | None, folder: Path, children: list[Child]
) -> tuple[str, Callable[[Deploy], None]]:
    """Renderer, product and traffic; answers the product's URL, and what deploys another release of it."""
    environment = _environment(endpoint, settings.key)
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
    options = ["--data", str(folder), "--renderer", renderer_url, "--log", str(log)]
    first = ["--release", settings.release] if settings.release else []
    product = Child("the product", ["product", "--port", str(port), *options, *first], environment)
    children.append(product)
    product_url = product.wait_for_url()
    _say("product", f"{product_url}  (API at {product_url}/docs)")

    traffic = Child("the traffic", ["traffic", "--url", product_url, "--rate", str(settings.rate)], environment)
    children.append(traffic)
    traffic.pass_on_output()
    _say("traffic", f"about {settings.rate:g} requests/s of {len(TENANTS)} tenants")
    _say("log", f"{log} has the product's tracebacks")

    def redeploy(deploy: Deploy) -> None:
        place = next(place for place, child in enumerate(children) if child.name == "the product")
        children[place].stop()
        again = ["product", "--port", product_url.rpartition(":")[2], *options, "--release", deploy.release]
        children[place] = Child("the product", again, environment)
        children[place].wait_for_url()
        if deploy.fault:
            switch_fault(product_url, deploy.fault, True, deploy.tenant)
        _say("deployed", f"{deploy.release}{f' with the bug {deploy.fault}' if deploy.fault else ''}")

    return product_url, redeploy


def _watch(
    children: list[Child], stopped: threading.Event, deploy: Deploy | None, redeploy: Callable[[Deploy], None]
) -> int:
    began = time.monotonic()
    while not stopped.wait(0.2):
        if deploy is not None and time.monotonic() - began >= deploy.after_minutes * 60:
            redeploy(deploy)
            deploy = None
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


def _environment(endpoint: str | None, key: str | None) -> dict[str, str]:
    environment = dict(os.environ)
    if endpoint:
        environment["TOCSIN_ENDPOINT"] = endpoint
    if key:
        environment["TOCSIN_INGEST_KEY"] = key
    return environment


def _python() -> str:
    """How a person in this folder starts this very Python."""
    path = os.path.relpath(sys.executable)
    return "python" if path.startswith("..") else path


def _say(who: str, what: str) -> None:
    print(f"{who:<9} {what}", flush=True)
