"""A job's tls_config decides whom it believes, and by which name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from https_server import https_server
from tocsin.collect.discovery import http_client
from tocsin.collect.scrape_config import access_of


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[int, str]]:
    with https_server(tmp_path, "inside.example") as there:
        yield there


def fetched(https: tuple[int, str], **tls: Any) -> str:
    port, certificate = https

    async def fetch() -> str:
        access = access_of({"tls_config": {"ca_file": certificate, **tls}}, Path("/"), "job", [])
        async with http_client(access, 5.0) as client:
            return (await client.get(f"https://127.0.0.1:{port}/metrics")).text

    return asyncio.run(fetch())


def test_other_side_is_held_to_the_name_given(https: tuple[int, str]) -> None:
    assert fetched(https, server_name="inside.example") == "up_there 1\n"
    assert fetched(https, insecure_skip_verify=True) == "up_there 1\n"
    for wrong in ({}, {"server_name": "other.example"}):
        with pytest.raises(httpx2.ConnectError, match="certificate"):
            fetched(https, **wrong)


def test_versions_are_kept_to(https: tuple[int, str]) -> None:
    assert fetched(https, server_name="inside.example", min_version="TLS12", max_version="TLS13") == "up_there 1\n"
    with pytest.raises(httpx2.ConnectError):
        fetched(https, server_name="inside.example", min_version="TLS13")
