"""Signs requests to Amazon's services: Signature Version 4.

Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Keys:
    """Who signs, and for which region. token: of temporary keys."""

    access: str
    secret: str
    region: str
    token: str = ""


def signed_headers(
    keys: Keys, service: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime, method: str = "POST"
) -> dict[str, str]:
    """What has to be sent beside `headers`, which are signed too."""
    at = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    parts = urlsplit(url)
    own = {"x-amz-date": at, **({"x-amz-security-token": keys.token} if keys.token else {})}
    signed = {name.lower(): " ".join(value.split()) for name, value in {**headers, **own}.items()}
    signed["host"] = parts.netloc.rpartition("@")[2]
    names = ";".join(sorted(signed))
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    asked = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    request = "\n".join(
        [
            method,
            quote(parts.path or "/", safe="/-_.~%"),
            "&".join(f"{name}={value}" for name, value in asked),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{at[:8]}/{keys.region}/{service}/aws4_request"
    text = "\n".join([ALGORITHM, at, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    said = f"{ALGORITHM} Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**own, "authorization": said}
