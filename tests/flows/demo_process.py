"""`python -m demo up` as a process of its own: a Tocsin server, the demo product it watches, and its traffic."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
from server_process import ADMIN_TOKEN, ROOT, environment

from fresh_data import lay_out
from waiting import PATIENCE_SECONDS, await_exit, eventually


@dataclass
class Demo:
    """The running demo and what it printed."""

    process: subprocess.Popen[bytes]
    output: Path
    url: str = ""
    setup_link: str = ""
    product_url: str = ""

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        printed = self.output.read_text()
        if "stop " not in printed:
            return False
        self.url = re.findall(r"^open +(\S+)$", printed, re.MULTILINE)[0]
        self.setup_link = next(iter(re.findall(r"http\S+/setup/\S+", printed)), "")
        self.product_url = re.findall(r"^product +(http\S+)", printed, re.MULTILINE)[0]
        return True

    def client(self, token: str = ADMIN_TOKEN) -> httpx2.Client:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False)

    def switch(self, fault: str, on: bool, tenant: str = "") -> None:
        """As a person does it."""
        whose = ["--tenant", tenant] if tenant else []
        command = [sys.executable, "-m", "demo", "fault", fault, "on" if on else "off", *whose]
        subprocess.run([*command, "--url", self.product_url], check=True, env=environment({}), cwd=ROOT)

    def interrupt(self) -> int:
        """Ctrl-C; answers the exit code."""
        self.process.send_signal(signal.SIGINT)
        return await_exit(self.process)


def start_demo(folder: Path, name: str, options: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Demo:
    """Run it on free ports with its data in `folder`, and wait until it is up."""
    output = folder / f"{name}.out"
    if not (folder / "data").exists():
        lay_out(folder / "data")
    ports = ["--data", str(folder / "data"), "--port", "0", "--grpc-port", "0", "--product-port", "0"]
    command = [sys.executable, "-m", "demo", "up", *ports, *options]
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment(environ or {}), cwd=ROOT)
    demo = Demo(process, output)
    try:
        eventually(demo.is_up, "the demo is up")
    except AssertionError:
        process.kill()
        process.wait()
        raise
    return demo
