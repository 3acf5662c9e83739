"""The operator's name and colour on the pages, and pages in the frames of other sites."""

from __future__ import annotations

from pathlib import Path

import pytest
from access_site import Site, open_site
from served import Served

from tocsin.web.site import add_pages
from tocsin.web.white_label import SiteSettings, theme, theme_path

pytestmark = pytest.mark.xdist_group("shop")

LABEL = {
    "TOCSIN_SITE_NAME": "Acme Watch",
    "TOCSIN_SITE_ACCENT": "#117733",
    "TOCSIN_SITE_FRAME_ANCESTORS": "https://admin.acme.example,https://*.globex.example:8443",
}


@pytest.fixture
def labelled(tmp_path: Path) -> Site:
    site = open_site(tmp_path, LABEL)
    add_pages(site.app)
    return site


def test_pages_carry_the_operators_name_and_colour(labelled: Site) -> None:
    html = labelled.visitor().get("/sign-in").text
    assert "Acme Watch</p>" in html
    assert "· Acme Watch</title>" in html
    assert "/theme.css?v=" in html
    css = labelled.visitor().get("/theme.css")
    assert css.headers["content-type"].startswith("text/css")
    assert "--accent: #117733; --accent-ink: #ffffff" in css.text


def test_without_an_accent_no_stylesheet_is_asked_for(shop: Served) -> None:
    assert "theme.css" not in shop.administrator.get("/").text
    assert theme_path(SiteSettings()) == ""


def test_ink_on_a_bright_accent_is_dark() -> None:
    assert "--accent-ink: #0e1116" in theme("#ffd54a").splitlines()[0]


def test_configured_sites_may_frame_an_embedded_page(labelled: Site) -> None:
    answer = labelled.visitor().get("/sign-in?embed=1")
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors https://admin.acme.example https://*.globex.example:8443" in policy
    assert "x-frame-options" not in answer.headers


def test_page_that_is_not_embedded_is_framed_by_nobody(labelled: Site) -> None:
    for path in ("/sign-in", "/sign-in?embed=0"):
        answer = labelled.visitor().get(path)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"


def test_nobody_frames_when_no_site_is_configured(shop: Served) -> None:
    answer = shop.administrator.get("/?embed=1")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_embedded_page_has_no_navigation_and_keeps_so_on_its_links(shop: Served) -> None:
    html = shop.administrator.get("/services?embed=1&range=6h").text
    assert '<nav class="side"' not in html
    assert '<header class="top"' not in html
    assert 'href="/services/front?range=6h&amp;embed=1"' in html
    assert "embed=1" not in shop.administrator.get("/services").text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"accent": "red"}, "#3157d5"),
        ({"accent": "#12345;"}, "#3157d5"),
        ({"frame_ancestors": ("admin.example.com",)}, "https://admin.example.com"),
        ({"frame_ancestors": ("https://a.example; script-src *",)}, "https://admin.example.com"),
    ],
)
def test_setting_that_would_break_out_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SiteSettings(**given)  # type: ignore[arg-type]  # the point is a value that does not fit
