"""Which push endpoints this server writes to: browsers name them, so they must not lead into our own network.

Source: RFC 8030 section 8 (https only); the IANA registries of special-purpose addresses, as `ipaddress` has them.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from tocsin.notify.contract import DeliveryError

LONGEST = 2000


def check_endpoint(endpoint: str, allow_private: bool) -> SplitResult:
    """Its parts, as far as can be told without asking for the host's address. Raises ValueError with the cause."""
    if len(endpoint) > LONGEST or not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        raise ValueError("it is no address of a push service")
    parts = urlsplit(endpoint)  # raises ValueError
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise ValueError("it is not https")
    if not parts.hostname or "@" in parts.netloc or (parts.port is not None and parts.port == 0):
        raise ValueError("it names no host, or a password")
    if not allow_private and _is_literal(parts.hostname) and not _is_public(parts.hostname):
        raise ValueError(f"{parts.hostname} is not a public address")
    return parts


def address_of(endpoint: str, allow_private: bool) -> str:
    """The IP address to connect to, all of the host's being public. Raises DeliveryError.

    The caller connects to just this one: a name that answers otherwise a moment later leads nowhere else.
    """
    try:
        parts = check_endpoint(endpoint, allow_private)
    except ValueError as error:
        raise DeliveryError(f"the endpoint is refused: {error}", retryable=False) from error
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise DeliveryError(f"cannot find {host}: {error}", retryable=True) from error
    foreign = [one for one in found if not _is_public(one)]
    if foreign and not allow_private:
        said = f"{host} leads to {foreign[0]}, which is not a public address"
        raise DeliveryError(f"the endpoint is refused: {said}", retryable=False)
    # IPv4 first: who has both has often no route for the other.
    return min(found, key=lambda one: ":" in one)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        # What a translator or tunnel makes of them is an IPv4 address that may well be private.
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo or (None, None))[1]
        if inner is not None and not inner.is_global:
            return False
        if parsed in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF).is_global
    return parsed.is_global and not parsed.is_multicast
