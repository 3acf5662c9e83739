"""The chart of a mail: the alert's own expression, threshold and series, as a PNG that decodes to what it shows."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import numpy as np
import pytest
from tests.notify.mail_server import PASSWORD, USER, mail_server
from tests.notify.providers import NOW, alert, notification
from tests.notify.wired import message_of

from tocsin.model.notification import Notification
from tocsin.notify import chart
from tocsin.notify.channels import email
from tocsin.query.metric_reader import MetricReader
from tocsin.query.promql.settings import QuerySettings
from tocsin.query.promql.source import MemorySource, Series

EXPRESSION = "sum by (tenant) (failed) > 10"


def told(expression: str = EXPRESSION, name: str = "g0.expr") -> Notification:
    source = f"http://tocsin/graph?{name}={quote(expression)}&g0.tab=1"
    return notification(replace(alert(), generator_url=source))


def reader(**values: list[float]) -> MetricReader:
    """`failed` of each tenant, one value a minute up to now."""
    end_ms = int(NOW.timestamp() * 1000)
    series = [
        Series(
            {"__name__": "failed", "tenant": tenant},
            np.array([end_ms - 60_000 * (len(given) - place) for place in range(len(given))], dtype=np.int64),
            np.array(given),
            None,
        )
        for tenant, given in values.items()
    ]
    return cast(MetricReader, MemorySource(series))


def pixels_of(png: bytes) -> Any:
    """The picture by the PNG specification, its checksums checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        data = png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    raw = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width * 3 + 1)
    return raw[:, 1:].reshape(height, width, 3)


def has(pixels: Any, color: tuple[int, int, int]) -> Any:
    return np.argwhere((pixels == color).all(axis=2))


@pytest.mark.parametrize("name", ["g0.expr", "query"])
def test_expression_loses_its_comparison(name: str) -> None:
    assert chart.expression_of(told(name=name)) == ("sum by (tenant) (failed)", 10.0)


@pytest.mark.parametrize("expression", ["", "sum(", "drop table"])
def test_what_is_no_expression_draws_nothing(expression: str) -> None:
    assert chart.chart_of(told(expression), reader(acme=[1.0]), QuerySettings()) is None


def test_chart_shows_the_tenants_own_series_and_no_other() -> None:
    picture = chart.chart_of(told(), reader(acme=[0.0, 20.0, 30.0], globex=[7000.0] * 3), QuerySettings())
    assert picture is not None
    assert picture.caption.endswith("in the last hour: 0 to 30, last 30; threshold 10")
    pixels = pixels_of(picture.png)
    assert pixels.shape == (chart.HEIGHT, chart.WIDTH, 3)
    assert len(has(pixels, chart.COLORS[0])) > 20
    assert len(has(pixels, chart.COLORS[1])) == 0
    assert len(has(pixels, chart.THRESHOLD)) > 100


def test_series_of_others_alone_draw_nothing() -> None:
    assert chart.chart_of(told(), reader(globex=[7000.0] * 3), QuerySettings()) is None


def test_larger_is_higher_and_a_gap_stays_one() -> None:
    pixels = pixels_of(chart.draw([[0.0, 0.0, None, None, 10.0, 10.0]]))
    drawn = has(pixels, chart.COLORS[0])
    left, right = drawn[drawn[:, 1] < chart.WIDTH / 3], drawn[drawn[:, 1] > chart.WIDTH / 2]
    assert left[:, 0].min() > right[:, 0].max()
    between = drawn[(drawn[:, 1] > chart.WIDTH * 0.25) & (drawn[:, 1] < chart.WIDTH * 0.7)]
    assert len(between) == 0


def test_mail_has_the_chart_inline(tmp_path: Path) -> None:
    picture = chart.Picture(chart.draw([[1.0, 2.0]]), "failed in the last hour")
    with mail_server(tmp_path) as there:
        settings = email.Settings(
            to=("ops@acme.example",), sender="t@acme.example", smarthost=there.smarthost, auth_username=USER,
            auth_password=PASSWORD, tls_ca_file=there.ca_file,
        )  # fmt: skip
        email.send(settings, message_of(notification(), draw=lambda _: picture))
        mail = there.mails[0]
    images = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert images[0].get_payload(decode=True) == picture.png
    assert images[0]["Content-ID"] == "<chart@acme.example>"
    body = mail.get_body(("html",))
    assert body is not None
    assert 'src="cid:chart@acme.example"' in body.get_content()
    plain = mail.get_body(("plain",))
    assert plain is not None
