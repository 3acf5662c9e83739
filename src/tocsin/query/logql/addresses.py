"""IP addresses in lines and labels: `ip("10.0.0.0/8")`, `ip("192.168.4.5-192.168.4.20")`, `ip("::1")`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

_CANDIDATE = re.compile(
    r"(?<![0-9A-Fa-f:.])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![0-9A-Fa-f:])"
)


class AddressError(ValueError):
    """A text that names no addresses."""


@dataclass(frozen=True, slots=True)
class AddressSet:
    """All addresses of a version from `first` to `last`."""

    version: int
    first: int
    last: int

    def holds(self, text: str) -> bool:
        try:
            found = ipaddress.ip_address(text)
        except ValueError:
            return False
        return found.version == self.version and self.first <= int(found) <= self.last

    def is_in(self, line: str) -> bool:
        """Whether any address in the line belongs to the set."""
        return any(self.holds(found.group()) for found in _CANDIDATE.finditer(line))


@lru_cache(maxsize=256)
def address_set(text: str) -> AddressSet:
    """Raises AddressError."""
    try:
        if "-" in text:
            first, _, last = (part.strip() for part in text.partition("-"))
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
            if low.version != high.version or int(low) > int(high):
                raise ValueError
            return AddressSet(low.version, int(low), int(high))
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise AddressError(
            f"cannot read {text[:60]!r} as addresses: write an address, a network such as 10.0.0.0/8 or a range "
            "such as 10.0.0.1-10.0.0.9"
        ) from error
    return AddressSet(network.version, int(network.network_address), int(network.broadcast_address))
