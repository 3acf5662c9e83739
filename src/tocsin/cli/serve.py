"""`tocsin serve`: run the server until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, TextIO, cast

import typer

if TYPE_CHECKING:
    import uvicorn

    from tocsin.app.server import Server


def serve(
    data: Annotated[str | None, typer.Option(help="Folder for everything the server keeps.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port for pages, REST and OTLP/HTTP; 0 takes a free one.")] = None,
    grpc_port: Annotated[
        int | None, typer.Option(help="Port for OTLP/gRPC; 0 takes a free one, -1 turns it off.")
    ] = None,
    require_ingest_key: Annotated[
        bool | None, typer.Option("--require-ingest-key", help="Refuse telemetry without an ingest key.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Defaults to start from: production or development.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Settings file; default ./tocsin.toml.")] = None,
) -> None:
    """Start the server: pages, REST, OTLP over HTTP and gRPC, and the stores, in one process."""
    # What is built at start stays for good: the collector would walk over it again and again, a fifth of the start.
    gc.disable()
    from tocsin.app.server import Server
    from tocsin.app.settings import configuration
    from tocsin.cli.fail import failing_clearly
    from tocsin.storage.telemetry.residency import arrange_heap

    arrange_heap()
    configure_logs()
    overrides = {
        "preset": preset,
        "server.data": data,
        "server.host": host,
        "server.port": port,
        "server.grpc_port": grpc_port,
        "ingest.require_key": require_ingest_key,
    }
    end = End()
    with failing_clearly():
        filled = configuration(overrides, config)
        listener = listen(*_address(filled))
        server = Server(filled)
        try:
            _run(server, listener, end)
        finally:
            server.close()


class End:
    """Makes SIGTERM and Ctrl-C unwind the stack, so that the stores are closed, until whoever serves takes them over.

    It also remembers, since Python drops what is raised while it runs a weak reference's callback or a finaliser.
    """

    def __init__(self) -> None:
        self._is_asked_for = False
        self._send_signals_to(self._leave)

    def hand_over(self, handler: Callable[[int, FrameType | None], None]) -> None:
        """From here on signals go to handler, also one that was dropped before."""
        self._send_signals_to(handler)
        if self._is_asked_for:
            handler(signal.SIGTERM, None)

    def _send_signals_to(self, handler: Callable[[int, FrameType | None], None]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handler)

    def _leave(self, _number: int, _frame: FrameType | None) -> None:
        self._is_asked_for = True
        sys.exit(0)


def _address(filled: object) -> tuple[str, int]:
    from tocsin.app.settings import ServerSettings

    settings = filled[ServerSettings]  # type: ignore[index]  # Config, imported late to keep --help quick
    return settings.host, settings.port


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError that says what to do when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise OSError(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what uses it or choose another with --port"
        ) from error
    return listener


def _run(server: Server, listener: socket.socket, end: End) -> None:
    import uvicorn

    proxies = server.config.trusted_proxies
    http = uvicorn.Server(
        uvicorn.Config(
            server.asgi,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            timeout_keep_alive=75,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
        )
    )
    end.hand_over(http.handle_exit)
    server.start()
    with asyncio.Runner(loop_factory=http.config.get_loop_factory()) as runner:
        runner.run(_listen_until_told(server, http, listener))


async def _listen_until_told(server: Server, http: uvicorn.Server, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, server.reload))
    async with server.grpc_listening() as grpc_port:
        _announce(server, listener, grpc_port)
        gc.collect()
        gc.freeze()
        gc.enable()
        await http.serve(sockets=[listener])


def _announce(server: Server, listener: socket.socket, grpc_port: int | None) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else "127.0.0.1" if host == "0.0.0.0" else host
    url = f"http://{shown}:{port}"
    link = server.setup_link(url)
    grpc = f"OTLP/gRPC on port {grpc_port}" if grpc_port is not None else "no OTLP/gRPC"
    if link:
        typer.echo(f"Create the administrator with this one-time link: {link}")
    # Last, so that whoever waits for this line has read everything.
    typer.echo(f"Tocsin {server.vitals.version} is ready on {url} ({grpc}, state in {server.data})")
    sys.stdout.flush()


class _StandardError:
    """Standard error that drops what it cannot take: no thread may end for want of space for its log line."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def configure_logs() -> None:
    """Events with fields on standard error: for people on a terminal, as JSON lines elsewhere."""
    import structlog

    is_terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
