"""Encryption of a push message, so that only the browser reads it and the push service does not.

Source: RFC 8291 (keys from the browser's and a fresh pair, with its authentication secret) over RFC 8188 (aes128gcm).
"""

from __future__ import annotations

import base64
import os
import struct

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tocsin.model.push import PushAddress

RECORD_BYTES = 4096
HEADER_BYTES, TAG_BYTES, DELIMITER = 86, 16, b"\x02"
PLAIN_BYTES = RECORD_BYTES - HEADER_BYTES - TAG_BYTES - len(DELIMITER)
"""What fits: a push service takes 4096 bytes with the header (RFC 8030, section 7.2)."""
AUTH_BYTES = 16


def encrypt(
    plain: bytes, to: PushAddress, *, own: ec.EllipticCurvePrivateKey | None = None, salt: bytes | None = None
) -> bytes:
    """The body of the request. own and salt: fresh ones for every message, unless a test names them.

    Raises ValueError when the address's keys are none or the message is longer than PLAIN_BYTES.
    """
    if len(plain) > PLAIN_BYTES:
        raise ValueError(f"cannot encrypt {len(plain)} bytes: a push message has {PLAIN_BYTES} at most; shorten it")
    theirs, secret = keys_of(to)
    own = own or ec.generate_private_key(ec.SECP256R1())
    salt = salt or os.urandom(16)
    own_point, their_point = point_of(own.public_key()), point_of(theirs)
    shared = own.exchange(ec.ECDH(), theirs)
    key_material = _derived(secret, shared, b"WebPush: info\0" + their_point + own_point, 32)
    key = _derived(salt, key_material, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(salt, key_material, b"Content-Encoding: nonce\0", 12)
    header = salt + struct.pack("!LB", RECORD_BYTES, len(own_point)) + own_point
    return header + AESGCM(key).encrypt(nonce, plain + DELIMITER, None)


def keys_of(address: PushAddress) -> tuple[ec.EllipticCurvePublicKey, bytes]:
    """The browser's public key and authentication secret. Raises ValueError when they are none."""
    secret = unbase64(address.auth_secret)
    if len(secret) != AUTH_BYTES:
        raise ValueError(f"its auth secret has {len(secret)} bytes instead of {AUTH_BYTES}")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unbase64(address.public_key)), secret
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("its public key is no point of P-256") from error


def point_of(key: ec.EllipticCurvePublicKey) -> bytes:
    """Uncompressed, 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def base64_of(data: bytes) -> str:
    """base64url without padding, as everywhere in web push."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64(text: str) -> bytes:
    """Raises ValueError."""
    # binascii.Error is a ValueError; without validation Python skips what is none of the alphabet.
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)


def _derived(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(material)
