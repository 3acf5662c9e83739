"""A request to a named address: TLS and the Host header still go by the name of the URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.notify.providers import notification
from tests.notify.wired import message_of

from https_server import https_server
from tocsin.collect.scrape_config import Access
from tocsin.notify.contract import DeliveryError
from tocsin.notify.http import ask


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[int, str]]:
    with https_server(tmp_path, "push.example") as there:
        yield there


def test_certificate_is_that_of_the_name_not_of_the_address(https: tuple[int, str]) -> None:
    port, certificate = https
    message = message_of(notification(), access=Access(tls={"ca_file": certificate}))
    answer = ask(message, "POST", f"https://push.example:{port}/1", content=b"x", address="127.0.0.1")
    assert (answer.status, answer.text) == (201, f"push.example:{port}")
    with pytest.raises(DeliveryError, match="certificate"):
        ask(message, "POST", f"https://other.example:{port}/1", content=b"x", address="127.0.0.1")
