"""What is secret of a header field."""

from __future__ import annotations

import re
from base64 import b64decode

from loadgen.text.template import GAP, without_fields

SCHEME = re.compile(r"\s*(?:bearer|basic|token)\s+", re.IGNORECASE)
"""What stands before a secret and is none."""
_BASIC = re.compile(r"basic\s+([A-Za-z0-9+/]+)=*", re.IGNORECASE)


def parts_of_header(name: str, value: str) -> set[str]:
    """What is secret of a header field: all of it, its last word, the values of cookies, and the user of Basic.

    Of one that a feeder fills, that is what is the same in all calls. Source: RFC 6265, 4.2.1; RFC 7617, 2.
    """
    constant = without_fields(value)
    texts = [text.strip() for text in constant.split(GAP)]
    found = {part for text in texts for part in (text, text.split(" ")[-1])}
    if "cookie" in name.lower():
        values = (pair.partition("=")[2] for pair in constant.split(";"))
        found |= {text.strip(' \t"') for each in values for text in each.split(GAP)}
    if basic := _BASIC.fullmatch(value.strip()):
        found |= _user(basic[1])
    return {part for part in found if not SCHEME.fullmatch(f"{part} ")}


def _user(in_base64: str) -> set[str]:
    """The ``name:password`` of Basic, and its password."""
    try:
        raw = b64decode(in_base64 + "=" * (-len(in_base64) % 4))
    except ValueError:
        return set()
    try:
        pair = raw.decode()
    except UnicodeDecodeError:
        pair = raw.decode("latin-1")
    return {pair, pair.partition(":")[2]}
