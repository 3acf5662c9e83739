"""Text messages through Twilio, or any service that speaks its API.

Source: twilio.com/docs/messaging/api/message-resource#create (form with To, From or MessagingServiceSid and Body of
1600 characters; basic authentication; 201 with sid; errors with code and message).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from tocsin.model.notification import Receipt
from tocsin.model.settings import setting
from tocsin.notify.contract import DeliveryError, Message, Pace, missing
from tocsin.notify.http import ask
from tocsin.notify.render import cut

PACE = Pace(1.0, burst=5)
BODY_CHARS = 480  # three parts: more costs more than it tells


@dataclass(frozen=True)
class Settings:
    """The account, and the numbers that get the text."""

    account_sid: str = setting("", help="The account's id.")
    auth_token: str = setting("", help="Its token.", secret=True)
    sender: str = setting("", help="Number the text comes from, such as +4930123456, or a messaging service (MG…).")
    to: tuple[str, ...] = setting((), help="Numbers that get the text.")
    api_url: str = setting("https://api.twilio.com", help="Address of the API.")

    @property
    def lacks(self) -> str:
        return missing(account_sid=self.account_sid, auth_token=self.auth_token, sender=self.sender, to=self.to)


def send(settings: Settings, message: Message) -> Receipt:
    """One text a number; a receipt as soon as one was taken, because the others must not get it twice."""
    faults: list[DeliveryError] = []
    ids = []
    for number in settings.to:
        try:
            ids.append(_send(settings, message, number))
        except DeliveryError as error:
            faults.append(error)
    if not ids:
        raise next((one for one in faults if one.retryable), faults[0])
    missed = f"; {len(faults)} of {len(settings.to)} numbers not: {faults[0].reason}" if faults else ""
    return message.sent(",".join(ids), f"taken for {len(ids)}{missed}")


def _send(settings: Settings, message: Message, number: str) -> str:
    pair = base64.b64encode(f"{settings.account_sid}:{settings.auth_token}".encode()).decode()
    url = f"{settings.api_url.rstrip('/')}/2010-04-01/Accounts/{settings.account_sid}/Messages.json"
    text = message.text
    body = cut(f"{text.title}\n{text.summary}", BODY_CHARS) + (f"\n{text.page_url}" if text.page_url else "")
    source = "MessagingServiceSid" if settings.sender.startswith("MG") else "From"
    form = {"To": number, source: settings.sender, "Body": body}
    return str(ask(message, "POST", url, form=form, headers={"authorization": f"Basic {pair}"}).json().get("sid", ""))
