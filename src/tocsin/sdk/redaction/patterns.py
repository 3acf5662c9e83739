"""What secrets look like by themselves, one expression a kind.

Sources: the formats that the issuers document. Every repetition is bounded or cannot meet itself, so that no text
takes long.
"""

from __future__ import annotations

import re

# What a run of such characters must hold to be looked at: the run is what `prefilter` looks for.
TOKENS = re.compile(
    r"""(?x)
      (?P<jwt> \beyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)? )
    | (?P<aws_key> (?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9]) )
    | (?P<stripe_key> \b(?:sk|rk)_(?:live|test)_[0-9A-Za-z]{8,} | \bwhsec_[0-9A-Za-z+/=]{16,} )
    | (?P<github_token> \bgh[pousr]_[0-9A-Za-z]{30,} | \bgithub_pat_[0-9A-Za-z_]{22,} )
    | (?P<gitlab_token> \bgl(?:pat|dt|rt|ptt|cbt)-[\w-]{20,} )
    | (?P<slack_token> \bxox[abeoprs]-[\w-]{10,} | \bxapp-\d-[\w-]{10,} | hooks\.slack\.com/services/[\w/-]{20,} )
    | (?P<google_key> \bAIza[\w-]{35} | \bya29\.[\w-]{20,} | \bGOCSPX-[\w-]{20,} )
    | (?P<api_key>
          \bSG\.[\w-]{16,}\.[\w-]{16,} | \bnpm_[0-9A-Za-z]{36} | \bpypi-[\w-]{16,} | \bsk-[A-Za-z0-9_-]{20,}
        | \bkey-[0-9a-f]{32}\b | \bSK[0-9a-f]{32}\b | \bdop_v1_[0-9a-f]{64} | \bhv[sb]\.[\w-]{20,}
        | \bdapi[0-9a-f]{32} | \bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32} | \b\d{8,10}:AA[\w-]{33}
        | \bxkeysib-[0-9a-f]{40,} | \bEAA[0-9A-Za-z]{40,} | \bhf_[A-Za-z]{30,} | \btcs_[a-z]+_[\w-]{20,}
        | \bNRAK-[A-Z0-9]{20,} | \bglsa_[0-9A-Za-z_]{30,} | \bAGE-SECRET-KEY-1[0-9A-Z]{50,} )
    """
)
PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]{0,30}-----|\Z)", re.S)
BEARER = re.compile(r"(?i)\b(bearer|token)(\s+)((?=[^\s,;\"']{0,200}\d)[A-Za-z0-9._~+/=-]{12,})")
BASIC = re.compile(r"(?i)\b(basic\s+)([A-Za-z0-9+/=]{8,})")
# Greedy up to the last @ before the path: passwords may hold one.
URL_PASSWORD = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://[^\s:/@\"'<>]{0,200}:)([^\s/\"'<>]{1,300})@")
IS_PASSWORD = re.compile(
    r"(?i)\b(password|passcode|passphrase|pin|secret|otp)(\s+(?:is|was|set\s+to|changed\s+to|=|:)\s+[\"']?)"
    r"(?=[^\s\"',]{0,200}[\d!@#$%^&*])([^\s\"',;]{4,200})"
)
CARD = re.compile(r"(?<![\w.#-])\d(?:[ -]?\d){12,18}(?![\w-])")
IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])"
)
RANDOM = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,512}={0,2}(?![A-Za-z0-9+/_-])")
# What may be a token or a random key: a long run that is not all small letters.
TOKENISH = re.compile(r"(?<![A-Za-z0-9+/_.-])(?=[A-Za-z0-9+/_.-]{0,200}[0-9A-Z])[A-Za-z0-9+/_.-]{16}")
# Names of objects, which are handed around and open nothing.
HARMLESS_ID = re.compile(r"(?:cus|ch|pi|in|sub|si|evt|price|prod|txn|re|po|seti|cs|card|src|acct|req|pm|plan)_")

# -- what databases put into their messages: the values of a statement

# SQLAlchemy's StatementError, its echo, and PostgreSQL's details; values hold no raw line ends there.
SQL_PARAMETERS = re.compile(r"\[parameters: [^\n]*\]")
SQL_ECHO = re.compile(
    r"(\A|\s)(\[(?:generated in|cached since|no key|raw sql|dialect \S+|caching disabled)[^\]\n]{0,120}\]) [(\[{][^\n]*"
)
SQL_DETAIL = re.compile(r"(Key \([^)\n]{1,200}\)=)\(([^\n]*?)\)(?= (?:already|is|conflicts|does)|\n|\Z)")
SQL_ROW = re.compile(r"(Failing row contains )\([^\n]*\)")
SQL_DUPLICATE = re.compile(r"(Duplicate entry )'[^\n]*?'(?= for key)")

# -- a name and its value in text: name=value, "name": "value", Name: value

NAME = re.compile(r"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]{1,100})(?:\\?[\"'])?\]?\s{0,3}(?:=>|:=|[:=])\s{0,3}")
SCHEME = re.compile(r"(?i)(?:bearer|basic|digest|token|negotiate|apikey|aws4-hmac-sha256)\s+")
VALUE = re.compile(
    r"""
      \\"(?:[^"\\]|\\(?!"))*\\" | [bru]?"(?:[^"\\]|\\.)*(?:"|\Z) | [bru]?'(?:[^'\\]|\\.)*(?:'|\Z)
    | [^\s,;&"'}\])]+
    """,
    re.VERBOSE | re.DOTALL,
)
REST_OF_LINE = re.compile(r"[^\n\"']+")
# Words that tell about a secret in its place.
HARMLESS_VALUES = frozenset({
    "none", "null", "nil", "true", "false", "undefined", "required", "missing", "invalid", "expired", "empty", "field",
    "value", "is", "was", "must", "not", "the", "a", "an", "no", "yes", "changed", "reset", "ok", "valid", "wrong",
    "incorrect", "string", "str", "int", "bytes", "optional", "***", "****", "*****", "redacted", "[redacted]", "{",
    "[", "(", "should", "cannot", "can't", "could", "too", "has", "have", "does", "for", "to", "in", "failed",
    "succeeded", "unauthorized", "forbidden", "denied", "rejected", "accepted", "...", "…", "?", "%s", "-", "--",
})  # fmt: skip

# -- personal data, when asked for

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ ().-]{0,2}|\(0\d{1,4}\)[ ]?|0\d{2,4}[ /-])\d(?:[ ().-]{0,2}\d){5,12}(?![\w-])"
)
