"""The organisations that use Tallyroom: few are large, many are small, and they work on different clocks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tenant:
    """One customer. `seats` sizes its data and its share of the traffic; `utc_offset_hours` moves its working day."""

    slug: str
    name: str
    plan: str
    seats: int
    currency: str
    utc_offset_hours: int


TENANTS = (
    Tenant("acme", "Acme Corporation", "enterprise", 480, "USD", -7),
    Tenant("hooli", "Hooli", "enterprise", 320, "USD", -8),
    Tenant("globex", "Globex", "enterprise", 260, "EUR", 1),
    Tenant("stark", "Stark Industries", "enterprise", 180, "USD", -5),
    Tenant("initech", "Initech", "business", 140, "USD", -6),
    Tenant("umbrella", "Umbrella", "business", 110, "EUR", 2),
    Tenant("wayne", "Wayne Enterprises", "business", 95, "USD", -5),
    Tenant("cyberdyne", "Cyberdyne Systems", "business", 60, "USD", -8),
    Tenant("tyrell", "Tyrell", "business", 45, "JPY", 9),
    Tenant("wonka", "Wonka Confectionery", "team", 30, "GBP", 0),
    Tenant("soylent", "Soylent", "team", 22, "USD", -5),
    Tenant("dunder", "Dunder Mifflin", "team", 16, "USD", -5),
    Tenant("pied-piper", "Pied Piper", "team", 8, "USD", -8),
    Tenant("vandelay", "Vandelay Industries", "starter", 3, "GBP", 0),
)

# The demo's users are public knowledge, so that the traffic and a curious reader can sign in.
PASSWORD = "correct-horse-battery"


def user_email(slug: str, number: int) -> str:
    """The sign-in name of the n-th user of an organisation; user 0 owns it."""
    return f"user{number:03d}@{slug}.example"
