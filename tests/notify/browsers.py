"""Browsers as push services see them: each with keys of its own, by which it reads what was sent to it."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.notify.providers import Asked

from tocsin.model.push import PushAddress

AUTH = b"sixteen bytes :)"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@dataclass
class FakeBrowser:
    """path: where its push service keeps it."""

    path: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def address(self, url: str) -> PushAddress:
        return PushAddress(f"{url}{self.path}", b64(point(self.key.public_key())), b64(AUTH))

    def read(self, body: bytes) -> bytes:
        """The message, decrypted by RFC 8188 and 8291 from the receiver's side."""
        salt, (record_bytes, id_bytes) = body[:16], struct.unpack("!LB", body[16:21])
        theirs = body[21 : 21 + id_bytes]
        sealed = body[21 + id_bytes :]
        assert len(body) <= 4096
        assert len(sealed) <= record_bytes
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
        material = derived(AUTH, shared, b"WebPush: info\0" + point(self.key.public_key()) + theirs, 32)
        key = derived(salt, material, b"Content-Encoding: aes128gcm\0", 16)
        nonce = derived(salt, material, b"Content-Encoding: nonce\0", 12)
        plain = AESGCM(key).decrypt(nonce, sealed, None)
        message, delimiter, padding = plain.rpartition(b"\x02")
        assert delimiter == b"\x02"
        assert not padding.strip(b"\0")
        return message

    def told(self, asked: list[Asked]) -> list[Any]:
        return [json.loads(self.read(one.body)) for one in asked if one.path == self.path]


def derived(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)


def claims_of(authorization: str, public_key: str) -> dict[str, Any]:
    """What the token of a request claims, once its signature by that key was checked as a push service does."""
    kind, _, rest = authorization.partition(" ")
    parts = dict(one.strip().split("=", 1) for one in rest.split(","))
    assert (kind, parts["k"]) == ("vapid", public_key)
    signed, _, signature = parts["t"].rpartition(".")
    header, claims = (json.loads(unb64(one)) for one in signed.split("."))
    assert header == {"typ": "JWT", "alg": "ES256"}
    raw = unb64(signature)
    assert len(raw) == 64
    of_it = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unb64(public_key))
    try:
        key.verify(of_it, signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise AssertionError("the token's signature is not by that key") from error
    return dict(claims)
