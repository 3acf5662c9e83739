"""TLS as Prometheus' `tls_config` describes it: whom to trust, what to show, which name to hold the other side to."""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Mapping
from typing import Any

VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1, "TLS11": ssl.TLSVersion.TLSv1_1, "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}  # fmt: skip
CARRIED_OUT = {
    "ca_file", "cert_file", "key_file", "insecure_skip_verify", "server_name", "min_version", "max_version",
}  # fmt: skip

# What may follow the socket, or the two buffers, without a name.
_SOCKET = ("server_side", "do_handshake_on_connect", "suppress_ragged_eofs", "server_hostname", "session")
_BIO = ("server_side", "server_hostname", "session")


class _Context(ssl.SSLContext):
    """Asks for `server_name`, where one is given, instead of the host that is connected to."""

    server_name = ""

    def wrap_socket(self, sock: socket.socket, *given: Any, **named: Any) -> ssl.SSLSocket:
        return super().wrap_socket(sock, **self._renamed(_SOCKET, given, named))

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *given: Any, **named: Any) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, **self._renamed(_BIO, given, named))

    def _renamed(self, names: tuple[str, ...], given: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        asked = {**dict(zip(names, given, strict=False)), **named}
        return {**asked, "server_hostname": self.server_name or asked.get("server_hostname")}


def tls_context(tls: Mapping[str, Any]) -> ssl.SSLContext:
    """For clients. tls: what `checked` has let through. Raises OSError when a file cannot be read or holds no
    certificate."""
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    if sys.version_info >= (3, 13):  # as `ssl.create_default_context` has it from there on
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    context.server_name = str(tls.get("server_name") or "")
    if tls.get("ca_file"):
        context.load_verify_locations(tls["ca_file"])
    else:
        context.load_default_certs()
    if tls.get("insecure_skip_verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if tls.get("cert_file"):
        context.load_cert_chain(tls["cert_file"], tls.get("key_file") or None)
    if tls.get("min_version"):
        context.minimum_version = VERSIONS[tls["min_version"]]
    if tls.get("max_version"):
        context.maximum_version = VERSIONS[tls["max_version"]]
    return context


def checked(tls: Mapping[str, Any]) -> dict[str, Any]:
    """What is carried out of a tls_config. Raises ValueError."""
    for key in ("min_version", "max_version"):
        if tls.get(key) and tls[key] not in VERSIONS:
            raise ValueError(f"tls_config.{key} is {tls[key]!r}; write one of {', '.join(VERSIONS)}")
    return {key: value for key, value in tls.items() if key in CARRIED_OUT}
