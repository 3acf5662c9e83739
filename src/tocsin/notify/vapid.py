"""How this server proves to a push service who it is: a key pair, and a signed token in every request.

Source: RFC 8292 (VAPID) with RFC 7515 and 7518 (ES256).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlsplit

import orjson
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tocsin.notify.push_encryption import base64_of, point_of, unbase64

VALID = timedelta(hours=12)  # a push service takes a day at most
SCALAR_BYTES = 32


def new_private_key() -> str:
    """The scalar of a fresh P-256 key, base64url."""
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return base64_of(number.to_bytes(SCALAR_BYTES, "big"))


def public_key_of(private_key: str) -> str:
    """What a browser subscribes with, as applicationServerKey."""
    return base64_of(point_of(_loaded(private_key).public_key()))


def authorization(private_key: str, endpoint: str, contact: str, now: datetime) -> str:
    """The value of the Authorization header of a request to this endpoint."""
    parts = urlsplit(endpoint)
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int((now + VALID).timestamp()),
        "sub": contact,
    }
    key = _loaded(private_key)
    signed = f"{base64_of(orjson.dumps({'typ': 'JWT', 'alg': 'ES256'}))}.{base64_of(orjson.dumps(claims))}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    signature = base64_of(r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big"))
    return f"vapid t={signed}.{signature}, k={base64_of(point_of(key.public_key()))}"


def _loaded(private_key: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unbase64(private_key), "big"), ec.SECP256R1())
