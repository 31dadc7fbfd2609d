from __future__ import annotations

import html
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.text.secret import hidden

SECRET = "MIIFa/b+c=&<\"'x y\\z>%2Fé\N{GRINNING FACE}-tail_0123456789"
HTML = {"&": "&amp;", '"': "&quot;", "'": "&apos;", "<": "&lt;", ">": "&gt;", "/": "&sol;"}


def forms(char: str) -> list[str]:
    """The ways in which servers write a character."""
    octets, utf_16 = char.encode(), char.encode("utf-16-be").hex()
    percent = "".join(f"%{byte:02X}" for byte in octets)
    unicode = "".join(f"\\u{utf_16[i : i + 4]}" for i in range(0, len(utf_16), 4))
    plain = [char, json.dumps(char)[1:-1], json.dumps(char, ensure_ascii=False)[1:-1]]
    slash = [] if char.isalnum() or ord(char) < 32 else [f"\\{char}"]
    codes = [f"&#{ord(char)};", f"&#x{ord(char):x};", f"&#X{ord(char):X};", html.escape(char), HTML.get(char, char)]
    hexadecimal = [f"\\x{ord(char):02x}"] if ord(char) < 256 else []
    more = [percent, percent.lower(), unicode, unicode.replace("\\u", "\\U").upper().replace("\\U", "\\u")]
    return plain + slash + codes + hexadecimal + more


def left(shown: str, pieces: list[str], size: int = 8) -> list[str]:
    """Every stretch of so many characters that can still be read."""
    stretches = ("".join(pieces[i : i + size]) for i in range(len(pieces) - size + 1))
    return [each for each in stretches if each in shown]


ENCODABLE = st.characters(codec="utf-8")
SECRETS = st.text(ENCODABLE, min_size=8, max_size=60) | st.text("\\%&/25+=u", min_size=8, max_size=60)


@given(st.data(), SECRETS)
def test_of_a_secret_nothing_is_left_whichever_of_its_characters_are_escaped_in_whichever_way(
    data: st.DataObject, secret: str
) -> None:
    written = [data.draw(st.sampled_from(forms(char))) for char in secret]
    shown = hidden(f'{{"m":"{"".join(written)}"}}', (secret,))
    assert "***" in shown
    assert left(shown, list(secret)) == []
    assert left(shown, written) == []


@given(st.data(), st.text(st.characters(exclude_categories=("Cs", "Zs", "Cc")), min_size=24, max_size=60))
def test_of_a_secret_that_is_cut_off_nothing_is_left_after_its_first_16_characters(
    data: st.DataObject, secret: str
) -> None:
    written = [data.draw(st.sampled_from(forms(char))) for char in secret]
    text = "".join(written)
    least = len("".join(written[:16]))
    cut = data.draw(st.integers(least, len(text)))
    shown = hidden(f"no: {text[:cut]}", (secret,))
    assert "***" in shown
    assert left(shown, list(secret)) == []
    assert left(shown, written) == []


@pytest.mark.parametrize(
    "repeated",
    [
        json.dumps(SECRET),
        json.dumps(SECRET).replace("/", "\\/"),
        json.dumps(SECRET, ensure_ascii=False),
        json.dumps(json.dumps(SECRET)),
        json.dumps({"m": json.dumps(SECRET).replace("/", "\\/")}),
        "".join(f"\\u{ord(c):04x}" if c in "+=/&<>'" else json.dumps(c)[1:-1] for c in SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(quote(SECRET, safe=""), safe=""),
        html.escape(SECRET),
        html.escape(json.dumps(SECRET), quote=False),
        SECRET.replace("+", "-").replace("/", "_"),
        repr(SECRET.encode().decode("ascii", "ignore")),
    ],
)
def test_a_secret_is_masked_however_the_target_escaped_all_of_it(repeated: str) -> None:
    shown = hidden(f"bad token: {repeated}, sorry", (SECRET,))
    assert "tail" not in shown
    assert shown.startswith("bad token: ")
    assert shown.endswith(" sorry")


def test_what_follows_a_whole_secret_is_left_and_what_follows_a_part_of_one_is_masked_to_the_next_quote_or_blank() -> (
    None
):
    secrets = ("0123456789abcdefGHIJ",)
    assert hidden("(0123456789abcdefGHIJ) or so", secrets) == "(***) or so"
    assert hidden("(0123456789abcdef~GHIJ) or so", secrets) == "(*** or so"
    assert hidden('{"a":"0123456789abcdef~GHIJ","b":1}', secrets) == '{"a":"***","b":1}'
    assert hidden("0123456789abcde GHIJ", secrets) == "0123456789abcde GHIJ"


def test_every_occurrence_of_every_secret_is_masked() -> None:
    assert hidden("key/1 and token=2, key%2F1 and token\\u003d2", ("token=2", "key/1")) == "*** and ***, *** and ***"


def fastest_ms(text: str, *secrets: str) -> float:
    def once() -> float:
        began = time.perf_counter()
        hidden(text, secrets)
        return (time.perf_counter() - began) * 1e3

    return min(once() for _ in range(5))


@pytest.mark.wallclock
def test_masking_stays_fast_with_long_secrets_and_with_texts_made_to_be_slow() -> None:
    token = "MIIF/+=a" * 1280
    assert fastest_ms("x" * 512, token) < 0.5
    assert fastest_ms(json.dumps(token).replace("/", "\\/")[:512], token) < 20
    assert fastest_ms("MIIF" * 128, token) < 20
    for hostile in ("\\", "%25", "&amp;", "%"):
        assert fastest_ms((hostile * 512)[:512], hostile * 3000) < 500
        assert fastest_ms((hostile * 512)[:512], (hostile * 15)[:15] + "/" * 1000) < 500
