"""Whether a run of characters is what it looks like: card numbers by Luhn, IBANs by their check digits, random keys.

Sources: ISO/IEC 7812 (Luhn, issuer ranges), ISO 13616 (IBAN, mod 97).
"""

from __future__ import annotations

import base64
import binascii
import math
from collections import Counter
from itertools import pairwise

_CARD_LENGTHS = {"3": (14, 15, 16), "4": (13, 16, 19), "5": (16,), "6": (16, 17, 18, 19), "2": (16,)}
_LUHN_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23,
    "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26,
    "UA": 29, "VG": 24, "XK": 20,
}  # fmt: skip

# Random base64 carries about 4.3 bits a character at this length; words and names of code less.
_ENTROPY_BITS, _ENTROPY_CHARACTERS = 3.6, 20
# Among neighbours, how many differ in kind: about 0.45 by chance, 0.2 in camelCase.
_CHANGES_SHARE = 0.24


def is_card_number(text: str) -> bool:
    """Digits with spaces or dashes between them that an issuer could have given out."""
    digits = text.replace(" ", "").replace("-", "")
    if len(digits) not in _CARD_LENGTHS.get(digits[:1], ()) or len(set(digits)) < 2:
        return False
    if digits[0] == "2" and not 2221 <= int(digits[:4]) <= 2720:
        return False
    backwards = [int(digit) for digit in reversed(digits)]
    return (sum(backwards[0::2]) + sum(_LUHN_DOUBLED[digit] for digit in backwards[1::2])) % 10 == 0


def is_iban(text: str) -> bool:
    """A country's bank account with right check digits."""
    plain = text.replace(" ", "").replace("-", "").upper()
    if len(plain) != _IBAN_LENGTHS.get(plain[:2]):
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def is_random(text: str) -> bool:
    """Whether characters look drawn by chance from letters of both cases and digits, as keys are.

    Hexadecimal digits are not: traces, hashes and UUIDs are made of them.
    """
    if len(text) < _ENTROPY_CHARACTERS:
        return False
    digits = sum(map(str.isdigit, text))
    uppers, lowers = sum(map(str.isupper, text)), sum(map(str.islower, text))
    if not digits or min(uppers, lowers) < 2 or _class_changes(text) < _CHANGES_SHARE * len(text):
        return False
    total = len(text)
    bits = -sum(n / total * math.log2(n / total) for n in Counter(text).values())
    return bits >= _ENTROPY_BITS


def is_basic(text: str) -> bool:
    """Whether this is `user:password` in base64, as HTTP Basic sends it."""
    try:
        return b":" in base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        return False


def _class_changes(text: str) -> int:
    """How often neighbours differ in being lower case, upper case or digit, a capital before small letters apart."""
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" for c in text if c.isalnum()]
    return sum(before != after and (before, after) != ("u", "l") for before, after in pairwise(kinds))
