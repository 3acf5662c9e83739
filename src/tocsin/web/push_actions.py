"""The worker that shows pushed alerts, the manifest phones ask for, and what the forms of the page My browsers do."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse

from tocsin.model.clock import utc_now
from tocsin.notify.channels import webpush
from tocsin.notify.contract import DeliveryError, Message
from tocsin.notify.render import text_of
from tocsin.notify.trial import trial
from tocsin.storage.control import NotFound
from tocsin.web.api.notify import deliverer_of
from tocsin.web.assets import FOLDER, static_path
from tocsin.web.auth import Anybody
from tocsin.web.paths import at
from tocsin.web.push import NOT_CONFIGURED, private_key_of, settings_of
from tocsin.web.refusals import RefusingRoute
from tocsin.web.state import control_of
from tocsin.web.white_label import site_settings_of

router = APIRouter(include_in_schema=False, route_class=RefusingRoute)
WORKER = "/push-worker.js"
TEST = "A test of this browser; nothing is wrong."


@router.get(WORKER)
def worker() -> Response:
    """At the root, because a worker serves only what is below its own path; asked anew each time, so never old."""
    return FileResponse(FOLDER / "push-worker.js", media_type="text/javascript", headers={"Cache-Control": "no-cache"})


@router.get("/manifest.webmanifest")
def manifest(request: Request) -> Response:
    """By which a phone's Home Screen takes the product as an app of its own; iPhones push to nothing else."""
    start = at(request, "/")
    icon = {"src": at(request, static_path("icon.svg")), "type": "image/svg+xml", "sizes": "any"}
    name = site_settings_of(request).name
    made = {"name": name, "short_name": name, "start_url": start, "scope": start, "display": "standalone"}
    return JSONResponse(made | {"icons": [icon]}, media_type="application/manifest+json")


@router.post("/settings/browsers/{browser_id}/remove")
def remove(request: Request, user: Anybody, browser_id: str) -> Response:
    control_of(request).push.unsubscribe(user, browser_id)
    return _back(request)


@router.post("/settings/browsers/{browser_id}/test")
def send_test(request: Request, user: Anybody, browser_id: str) -> Response:
    """To that browser alone, at once; the page shows what became of it."""
    book, settings = control_of(request).push, settings_of(request)
    if settings is None:
        raise HTTPException(409, f"cannot send a test: {NOT_CONFIGURED}")
    browser = next((one for one in book.of_user(user.id) if one.id == browser_id), None)
    if browser is None:
        raise NotFound(f"cannot find browser '{browser_id[:40]}': none of yours has that id; reload the page")
    told = trial("webpush", TEST, utc_now())
    seconds = deliverer_of(request).settings.timeout_seconds
    message = Message(told, text_of(told), told.key, timeout_seconds=seconds, now=utc_now())
    try:
        webpush.tell(settings, message, browser, told, private_key_of(request))
    except DeliveryError as error:
        if error.status in webpush.GONE:
            book.forget(browser.id)
        else:
            book.note_failed(browser.id, error.reason)
    else:
        book.note_told(browser.id, told.key)
    return _back(request)


def _back(request: Request) -> Response:
    return RedirectResponse(at(request, "/settings/browsers"), 303)
