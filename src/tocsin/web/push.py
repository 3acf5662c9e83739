"""What the page, the REST routes and the forms of web push share."""

from __future__ import annotations

import hashlib

from fastapi import HTTPException
from starlette.requests import Request

from tocsin.model.push import PushAddress, PushSubscription
from tocsin.notify.channels import webpush
from tocsin.notify.push_encryption import keys_of
from tocsin.notify.push_endpoint import check_endpoint
from tocsin.notify.vapid import new_private_key, public_key_of
from tocsin.storage.control import InvalidInput
from tocsin.web.api.notify import deliverer_of
from tocsin.web.state import control_of

NOT_CONFIGURED = "web push is not configured; an administrator sets contact in [notify_webpush]"


def settings_of(request: Request) -> webpush.Settings | None:
    """Those of the first receiver that can use web push; None where none can."""
    receivers = deliverer_of(request).receivers.by_name.values()
    found = [one for receiver in receivers for one in receiver.integrations if one.channel == "webpush"]
    return next((one.settings for one in found if not one.problem), None)


def private_key_of(request: Request) -> str:
    return control_of(request).push.signing_key(new_private_key)


def public_key(request: Request) -> str:
    """What browsers subscribe with."""
    return public_key_of(private_key_of(request))


def checked_address(request: Request, address: PushAddress) -> PushAddress:
    """The address, if this server can and may write to it. Raises InvalidInput, HTTPException 409."""
    settings = settings_of(request)
    if settings is None:
        raise HTTPException(409, f"cannot add this browser: {NOT_CONFIGURED}")
    try:
        check_endpoint(address.endpoint, settings.allow_private)
        keys_of(address)
    except ValueError as error:
        raise InvalidInput(f"cannot add this browser: {error}; subscribe again") from error
    return address


def endpoint_hash(browser: PushSubscription) -> str:
    """By which a browser knows its own row; the endpoint itself stays here."""
    return hashlib.sha256(browser.address.endpoint.encode()).hexdigest()


def browser_of(agent: str) -> str:
    """A user agent in words a person recognises: "Firefox on Android"."""
    names = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("FxiOS", "Firefox"), ("CriOS", "Chrome"),
             ("Chrome", "Chrome"), ("Safari", "Safari"))  # fmt: skip
    systems = (("Android", "Android"), ("iPhone", "an iPhone"), ("iPad", "an iPad"), ("Windows", "Windows"),
               ("Mac OS X", "a Mac"), ("CrOS", "ChromeOS"), ("Linux", "Linux"))  # fmt: skip
    name = next((word for mark, word in names if mark in agent), "A browser")
    system = next((word for mark, word in systems if mark in agent), "")
    return f"{name} on {system}" if system else name
