"""Labelled texts of our own making: secrets that have to go, planted among words, and lines that have to stay.

Secrets are drawn by a seeded generator in the formats their issuers document, so that no real one is in the tree and no
scanner of repositories mistakes them. Each is put into every frame of its kind.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator

_draw = random.Random(20_261_121)
_ALNUM = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def _some(characters: str, count: int) -> str:
    return "".join(_draw.choices(characters, k=count))


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _jwt() -> str:
    head, claims = {"alg": "HS256", "typ": "JWT"}, {"sub": _some(string.digits, 8), "org_id": "acme"}
    return f"{_encoded(head)}.{_encoded(claims)}.{_some(_ALNUM + '-_', 43)}"


def _card(prefix: str, length: int) -> str:
    digits = [int(digit) for digit in prefix + _some(string.digits, length - len(prefix) - 1)]
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if place % 2 == 0 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return "".join(map(str, digits)) + str(-total % 10)


def _spaced(number: str) -> str:
    return " ".join(number[place : place + 4] for place in range(0, len(number), 4))


def _iban(country: str, account: str) -> str:
    value = int("".join(str(int(character, 36)) for character in f"{account}{country}00"))
    return f"{country}{98 - value % 97:02d}{account}"


def _pem() -> str:
    body = "\n".join(_some(_ALNUM + "+/", 64) for _ in range(5))
    kind = "RSA " * _draw.randrange(2)
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"


def _word() -> str:
    """A password as people choose them."""
    return (
        _draw.choice(["hunter", "Sommer", "tr0ub4dor", "correct-horse"]) + _some(string.digits, 3) + _draw.choice("!$x")
    )


# Secrets that are known by what they look like, wherever they stand.
_TOKENS: dict[str, Callable[[], str]] = {
    "aws access key": lambda: "AKIA" + _some(string.ascii_uppercase + "234567", 16),
    "stripe key": lambda: f"sk_{_draw.choice(['live', 'test'])}_" + _some(_ALNUM, 24),
    "stripe webhook": lambda: "whsec_" + _some(_ALNUM, 32),
    "github token": lambda: f"gh{_draw.choice('pousr')}_" + _some(_ALNUM, 36),
    "github fine-grained": lambda: "github_pat_" + _some(_ALNUM, 22) + "_" + _some(_ALNUM, 59),
    "gitlab token": lambda: "glpat-" + _some(_ALNUM, 20),
    "slack token": lambda: "xoxb-" + _some(string.digits, 12) + "-" + _some(_ALNUM, 24),
    "google key": lambda: "AIza" + _some(_ALNUM + "-_", 35),
    "sendgrid key": lambda: "SG." + _some(_ALNUM, 22) + "." + _some(_ALNUM, 43),
    "npm token": lambda: "npm_" + _some(_ALNUM, 36),
    "model api key": lambda: "sk-" + _some(_ALNUM, 48),
    "ingest key": lambda: "tcs_ingest_" + _some(_ALNUM + "-_", 43),
    "jwt": _jwt,
    "card": lambda: _card(_draw.choice(["4", "51", "55", "6011", "2221"]), 16),
    "amex": lambda: _card("37", 15),
    "card in groups": lambda: _spaced(_card("4", 16)),
    "iban": lambda: _iban("DE", _some(string.digits, 18)),
    "iban in groups": lambda: _spaced(_iban("GB", "NWBK" + _some(string.digits, 14))),
    "private key": _pem,
    "random key": lambda: _some(_ALNUM, 40),
    "random base64": lambda: base64.b64encode(_draw.randbytes(33)).decode(),
}
_TOKEN_FRAMES = (
    "{}", "could not use {}", "charged {} for order 17", "value was '{}' (rejected)", "user ada sent {}, which failed",
    "config loaded: {{'region': 'eu', 'value': '{}'}}", "GET https://api.example.com/v1/x?q={} 200",
)  # fmt: skip
# Secrets that are known by their name or their place.
_NAMED_FRAMES = (
    "password={}", "db_password: {}", "login with {{'user': 'ada', 'password': '{}'}}", '{{"api_key": "{}", "n": 3}}',
    '{{\\"client_secret\\": \\"{}\\"}}', "Authorization: Bearer {}", "headers: {{'X-Api-Key': '{}'}}",
    "https://ada:{}@db.example.com/shop", "redis://:{}@cache:6379/0", "Cookie: session={}; theme=dark",
    "GET /reset?token={}&lang=de", "AWS_SECRET_ACCESS_KEY={}", "the password is {}", "access_token = \"{}\"",
    "SELECT * FROM users WHERE password = '{}'", "[parameters: ('ada', '{}')]", "Set-Cookie: sid={}; HttpOnly",
    "pwd={};Server=db", "otp={}", "refreshToken:{}", "secret => {}", "postgresql+psycopg://shop:{}@db/s",
    "PGPASSWORD={} pg_dump shop", "-d 'password={}&grant_type=password'",
    "(sqlite3.IntegrityError) failed\n[SQL: INSERT INTO u VALUES (?, ?)]\n[parameters: ('a', '{}')]",
    "[generated in 0.00031s] ('ada', '{}')", "DETAIL:  Failing row contains (7, ada, {}, null).",
)  # fmt: skip

CLEAN = (
    "order 17 created for acme in 12 ms", "GET /api/v1/projects/17/reports/3 200 in 17 ms",
    "user 4711 signed in to globex", "cache miss key=user:17 ttl=300", "token_count=1523 prompt_tokens=800",
    "password must be at least 12 characters", "password: field required", "the password has expired",
    "token expired", "invalid token", "tokens: 1523", "authorization: missing", "no API key given; set API_KEY",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7", "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "request 123e4567-e89b-12d3-a456-426614174000 done", "2026-11-21 22:13:20,123 INFO started",
    "started at 1795212800123456789", "epoch 1795212800123", "order 1234567890123456 shipped",
    "phone +49 170 1234567 called", "ada@acme.example wrote", "version 1.2.3-rc.1+build.5",
    "loaded /usr/lib/python3.11/site-packages/sqlalchemy/engine/base.py", "SELECT id, name FROM users WHERE id = ?",
    "UPDATE accounts SET balance = balance - 10 WHERE id = 7", "retrying in 1.5 s (attempt 3 of 5)",
    "connect to postgresql://db.example.com:5432/shop", "https://example.com/docs/authentication#tokens",
    "http://user@example.com/path", "keyboard interrupt", "author=ada session closed", "monkey patched socket",
    "customer cus_9s6XKzkNRiz8i3 charged", "payment pi_1Gszvc2eZvKYlo2CpXEXAMPL succeeded",
    "basic authentication failed",
    "bearer authentication required", "job export_report[17] finished", "class CheckoutServiceFactoryImplementation",
    "rows=4000000000000 bytes=1073741824", "temperature 21.5 humidity 40", "user_id=4711 org_id=acme plan=team",
    "status=200 duration_ms=17.3 method=GET path=/api/v1/projects", '{"event": "order.paid", "amount_cents": 1999}',
    "secret rotated for service billing", "rotating signing keys", "certificate expires 2027-01-01",
    "session 17 opened by ada", "csrf check passed", "pin code entry disabled", "card declined: insufficient funds",
    "IBAN must not be empty", "loop blocked for 312 ms by handlers.py:17", "is_authenticated=true has_token=true",
    "lock acquired by worker-3 after 12 ms", "ulid 01ARZ3NDEKTSV4RRFFQ69G5FAV", "isbn 978-3-16-148410-0",
    "uuid=0b5c8b1e-7c8e-4f0a-9f1e-2d3c4b5a6978 state=done", "etag W/33a64df551425fcc55e4d42a148795d9f25f89d4",
    "10.0.0.1:443 -> 192.168.1.17:51234", "ratio 0.333333333333333333", "mac 00:1B:44:11:3A:B7",
    "DE 12 is a short code",
    "job 20261121T221320Z_nightly_statement_export finished", "demo/product/routes/invoices.py:44 in render_invoice",
    "tenant=acme route=/api/v1/projects/{project_id}/reports/{report_id}/exports", "pass 3 of 5 passed",
    "key=order-17 partition=3 offset=991", "type=token kind=refresh", "secrets: none", "cookie: missing",
)  # fmt: skip


def planted(each: int = 8) -> Iterator[tuple[str, str, str]]:
    """(kind, secret, text): what must not be left of the text is the secret."""
    for kind, make in _TOKENS.items():
        frames = ("{}", "key was\n{}\n", "{{'value': '{}'}}") if kind == "private key" else _TOKEN_FRAMES
        for frame in frames:
            for _ in range(each):
                secret = make()
                yield kind, secret, frame.format(secret)
    for frame in _NAMED_FRAMES:
        for _ in range(each):
            secret = _draw.choice([_word(), _some(_ALNUM, 24), _some(_HEX, 32)])
            yield f"named: {frame}", secret, frame.format(secret)


def clean(each: int = 3) -> Iterator[str]:
    """Lines without any secret, some drawn."""
    yield from CLEAN
    for _ in range(each * 40):
        ids = f"{_some(_HEX, 8)}-{_some(_HEX, 4)}-4{_some(_HEX, 3)}-a{_some(_HEX, 3)}-{_some(_HEX, 12)}"
        yield f"request {ids} took {_draw.random() * 100:.3f} ms"
        yield f"trace={_some(_HEX, 32)} span={_some(_HEX, 16)} status={_draw.choice([200, 404, 500])}"
        yield f"order {_draw.randrange(10**6)} of user {_draw.randrange(10**5)}: {_draw.randrange(10**7)} cents"
