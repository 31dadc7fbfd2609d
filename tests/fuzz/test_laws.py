"""The laws of the response reader, and of what reads behind it, for answers made at random."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.invocation.facts import Facts
from loadgen.measure.interval import decode, encode
from loadgen.targets.functiongraph.protocol.response import HEADERS, classify_function
from loadgen.targets.functiongraph.protocol.target import ResponseVersion
from tests.frames import frame
from tests.fuzz.laws import check_memory, check_oracle, check_pieces, check_quick, read
from tests.fuzz.seeds import SEEDS, TOKENS

tokens = st.sampled_from(TOKENS)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(str.encode)
interims = st.lists(st.sampled_from([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103\r\nX-A: 1\r\n\r\n"]), max_size=3)
status_lines = st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 201", b"HTTP/1.0 404 No", b"HTTP/1.1 429 Too Many"])
names = st.sampled_from([b"X-A", b"ETag", b"content-TYPE", b"Server"])
blanks = st.sampled_from([b"", b" ", b"\t "])
persistence = st.sampled_from([b"", b"Connection: close\r\n", b"Connection: keep-alive\r\n"])
extensions = st.sampled_from([b"", b";a", b";a=b", b';a="b;c"'])
trailers = st.sampled_from([b"", b"X-Trailer: x\r\n", b"A:\r\nB: c\r\n"])


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """A valid answer, however framed, perhaps after interim ones."""
    text = b"".join(draw(interims)) + draw(status_lines) + b"\r\n"
    for name in draw(st.lists(names, max_size=4)):
        text += name + b":" + draw(blanks) + draw(values) + b"\r\n"
    text += draw(persistence)
    body = draw(st.binary(max_size=60))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    if framing == "length":
        return text + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if framing == "close":
        return text + b"\r\n" + body
    text += b"Transfer-Encoding: chunked\r\n\r\n"
    while body:
        size = draw(st.integers(1, len(body)))
        text += b"%x" % size + draw(extensions) + b"\r\n" + body[:size] + b"\r\n"
        body = body[size:]
    return text + b"0\r\n" + draw(trailers) + b"\r\n"


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A valid answer or two, or a seed, with a few bytes of it left out, replaced or repeated."""
    text = draw(st.one_of(answers(), st.sampled_from(SEEDS), st.builds(bytes.__add__, answers(), answers())))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 4)))
        instead = draw(st.one_of(tokens, st.binary(max_size=2), st.just(text[start:end] * 2)))
        text = text[:start] + instead + text[end:]
    return text


texts = st.one_of(mutants(), st.lists(tokens, max_size=15).map(b"".join), st.binary(max_size=60))
cuts = st.lists(st.integers(0, 300), max_size=6)


@given(answers())
def test_a_valid_answer_is_read(text: bytes) -> None:
    assert read([text]).response is not None


@given(texts)
def test_what_we_accept_llhttp_reads_alike_and_what_only_it_accepts_is_listed(text: bytes) -> None:
    check_oracle(text)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_seed_keeps_the_laws_wherever_it_is_cut(seed: bytes) -> None:
    check_oracle(seed)
    check_quick(seed)
    check_memory(seed)
    check_pieces(seed, list(range(len(seed))))
    for at in range(len(seed)):
        check_pieces(seed, [at])


@given(texts, cuts)
def test_an_answer_reads_the_same_however_it_is_cut(text: bytes, cuts: list[int]) -> None:
    check_pieces(text, cuts)
    check_memory(text)


@given(texts)
def test_what_is_read_at_a_glance_is_what_the_reader_and_the_classifier_say(text: bytes) -> None:
    check_quick(text)


odd = st.sampled_from(
    [b"", b"v1", b"true", b"150434", b"-1", b"4002", b'{"duration":1e999}', b"[" * 2000, b"\xff", b"1" * 5000]
)
bodies = st.one_of(
    st.binary(max_size=80),
    st.sampled_from([b'{"error_code":"FSS.0429"}', b'{"error":{"code":1}}', b'{"status":200,"log":"\\ud800"}']),
    st.sampled_from([b"[" * 5000, b'{"a":' * 3000, b'{"status":1e400}', b'{"error_code":' + b"9" * 5000 + b"}"]),
)  # fmt: skip


@given(
    st.integers(100, 999),
    st.dictionaries(st.sampled_from(sorted(HEADERS)), st.one_of(st.binary(max_size=40), odd)),
    bodies,
    st.sampled_from(ResponseVersion),
)
def test_no_answer_makes_the_classifier_raise(
    status: int, headers: dict[bytes, bytes], body: bytes, version: ResponseVersion
) -> None:
    assert isinstance(classify_function(status, headers, body, version), Facts)


FRAME = encode(frame({"ok": [1, 5_000]}))[4:]


@given(st.data())
def test_what_is_no_frame_is_refused_with_msgspecs_errors_alone(data: st.DataObject) -> None:
    body = bytearray(FRAME)
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=4)):
        body[at] = byte
    del body[data.draw(st.integers(0, len(body))) :]
    with suppress(msgspec.MsgspecError):
        decode(bytes(body))
