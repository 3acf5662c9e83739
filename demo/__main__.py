"""The demo's command line: `python -m demo up`, `run`, `product`, `renderer`, `traffic`, `fault`, `otel-only`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from demo.faults import FAULTS
from demo.processes import follow_parent
from demo.run import DEFAULT_GRPC_PORT, DEFAULT_PORT, DEFAULT_SERVER_PORT, Deploy, OwnServer, RunSettings, run_demo

DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    chosen = _parser().parse_args(arguments)
    if chosen.follow_parent:
        follow_parent()
    try:
        code: int = chosen.command(chosen)
    except KeyboardInterrupt:
        return 130
    return code


def _run(chosen: argparse.Namespace) -> int:
    return run_demo(
        RunSettings(
            port=chosen.port,
            rate=chosen.rate,
            endpoint=chosen.endpoint,
            key=chosen.key,
            data_folder=chosen.data,
            release=chosen.release,
            deploy=_deploy(chosen),
        )
    )


def _up(chosen: argparse.Namespace) -> int:
    return run_demo(
        RunSettings(
            port=chosen.product_port,
            rate=chosen.rate,
            server=OwnServer(chosen.data, chosen.port, chosen.grpc_port),
            data_folder=chosen.data / "product",
            release=chosen.release,
            deploy=_deploy(chosen),
        )
    )


def _deploy(chosen: argparse.Namespace) -> Deploy | None:
    if not chosen.deploy:
        return None
    return Deploy(chosen.deploy, chosen.deploy_after, chosen.deploy_fault or "", chosen.deploy_tenant)


def _server(chosen: argparse.Namespace) -> int:
    from tocsin.cli.commands import app

    app(["serve", *chosen.options])
    return 0


def _product(chosen: argparse.Namespace) -> int:
    from demo.product.app import create_app
    from demo.product.settings import ProductSettings
    from demo.serve import serve

    settings = ProductSettings(chosen.data, renderer_url=chosen.renderer, latency_scale=chosen.latency)
    if chosen.release:
        settings = replace(settings, release=chosen.release)
    return serve(create_app(settings), chosen.port, chosen.log)


def _renderer(chosen: argparse.Namespace) -> int:
    from demo.renderer import create_renderer
    from demo.serve import serve

    return serve(create_renderer(), chosen.port, chosen.log)


def _traffic(chosen: argparse.Namespace) -> int:
    from demo.traffic import TrafficSettings, send_traffic

    settings = TrafficSettings(requests_per_second=chosen.rate, seed=chosen.seed)
    asyncio.run(send_traffic(chosen.url, settings))
    return 0


def _otel_only(chosen: argparse.Namespace) -> int:
    from demo.otel_only import create_otel_app
    from demo.serve import serve

    return serve(create_otel_app(chosen.exporter), chosen.port)


def _fault(chosen: argparse.Namespace) -> int:
    from demo.switchboard import SwitchError, describe_faults, switch_fault

    try:
        if chosen.name == "list":
            print(describe_faults(chosen.url))
        else:
            print(switch_fault(chosen.url, chosen.name, chosen.state == "on", chosen.tenant))
    except SwitchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Tallyroom, the product to watch with Tocsin.")
    parser.add_argument("--follow-parent", action="store_true", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_up(commands)
    _add_run(commands)

    server = commands.add_parser("server", help="only the server, as `tocsin serve`", prefix_chars="\0")
    server.add_argument("options", nargs="*", help="of `tocsin serve`")
    server.set_defaults(command=_server)

    product = commands.add_parser("product", help="only the product")
    product.add_argument("--port", type=_port, default=DEFAULT_PORT, help="0 is any free port")
    product.add_argument("--data", type=Path, default=Path("demo-data"), help="folder of its database")
    product.add_argument("--renderer", default="http://127.0.0.1:8001", help="URL of the invoice renderer")
    product.add_argument("--latency", type=float, default=1.0, help="factor on simulated work; 0 answers at once")
    product.add_argument("--release", help="as which it reports itself")
    product.add_argument("--log", type=Path, help="file for tracebacks; default: the terminal")
    product.set_defaults(command=_product)

    renderer = commands.add_parser("renderer", help="only the invoice rendering service")
    renderer.add_argument("--port", type=_port, default=8001, help="0 is any free port")
    renderer.add_argument("--log", type=Path, help="file for tracebacks; default: the terminal")
    renderer.set_defaults(command=_renderer)

    traffic = commands.add_parser("traffic", help="only the traffic, on a product that runs already")
    traffic.add_argument("--url", default=DEFAULT_URL, help="the product")
    traffic.add_argument("--rate", type=float, default=25.0, help="requests a second, average over a day")
    traffic.add_argument("--seed", type=int, default=1)
    traffic.set_defaults(command=_traffic)

    fault = commands.add_parser("fault", help="switch a fault: fault NAME on|off [--tenant T], or: fault list")
    fault.add_argument("name", help="the fault, or `list`")
    fault.add_argument("state", nargs="?", choices=("on", "off"), default="on")
    fault.add_argument("--tenant", help="only for this tenant")
    fault.add_argument("--url", default=DEFAULT_URL, help="the product")
    fault.set_defaults(command=_fault)

    otel_only = commands.add_parser("otel-only", help="a tiny app with the official OpenTelemetry SDK alone")
    otel_only.add_argument("--port", type=_port, default=0, help="0 is any free port")
    otel_only.add_argument("--exporter", choices=("http-protobuf", "http-json", "grpc"), default="http-protobuf")
    otel_only.set_defaults(command=_otel_only)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"cannot listen on port {text}: it is a number from 0, any free one, to 65535")
    return int(text)


def _add_up(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    up = commands.add_parser("up", help="a Tocsin server, and everything of `run` reporting to it")
    up.add_argument("--port", type=_port, default=DEFAULT_SERVER_PORT, help="of the server; 0 is any free port")
    up.add_argument("--grpc-port", type=_port, default=DEFAULT_GRPC_PORT, help="of its OTLP/gRPC; 0 is any free port")
    up.add_argument("--product-port", type=_port, default=DEFAULT_PORT, help="of the product; 0 is any free port")
    up.add_argument("--rate", type=float, default=25.0, help="requests a second, average over a day")
    up.add_argument("--data", type=Path, default=Path("tocsin-data-demo"), help="folder to keep everything in")
    _add_releases(up)
    up.set_defaults(command=_up)


def _add_releases(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--release", help="as which the product starts")
    parser.add_argument("--deploy", metavar="RELEASE", help="deploy this release while the demo runs")
    parser.add_argument("--deploy-after", type=float, default=5.0, metavar="MINUTES", help="from the start")
    parser.add_argument("--deploy-fault", metavar="FAULT", choices=tuple(FAULTS), help="the bug that it ships")
    parser.add_argument("--deploy-tenant", metavar="TENANT", help="whom the bug hurts")


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="renderer, product and traffic together")
    run.add_argument("--port", type=_port, default=DEFAULT_PORT, help="of the product; 0 is any free port")
    run.add_argument("--rate", type=float, default=25.0, help="requests a second, average over a day")
    run.add_argument("--endpoint", help="Tocsin server, such as http://127.0.0.1:4318; default: TOCSIN_ENDPOINT")
    run.add_argument("--key", help="ingest key; default: TOCSIN_INGEST_KEY")
    run.add_argument("--data", type=Path, help="folder to keep the product's data in; default: a temporary one")
    _add_releases(run)
    run.set_defaults(command=_run)


if __name__ == "__main__":
    sys.exit(main())
