"""What must hold of the response reader for any bytes; checked by hypothesis in the tests and by ``make fuzz``.

The oracle is llhttp, the parser of Node.js, as httptools wraps it. It reads HTTP as we do and was written by others.
``LAXER`` and ``STRICTER`` are the whole list of what the two are meant to see differently; anything else is a bug in
one of them.
"""

from __future__ import annotations

from itertools import pairwise

import httptools
from msgspec import Struct

from loadgen.engine.http1 import MAX_HEAD, HeaderNames, ProtocolError, Response, ResponseReader
from loadgen.targets.functiongraph.protocol.quick import Quick
from loadgen.targets.functiongraph.protocol.response import HEADERS, classify_function
from loadgen.targets.functiongraph.protocol.target import ResponseVersion

KEEP = 1 << 20
WANTED = HEADERS | {b"content-type", b"x-a", b"etag"}

UNREAD = "an interim answer says nothing about what follows it; its length is not read, nor that of a 204 or 304"
LAXER = {
    "Duplicate Content-Length": "equal lengths are one length; RFC 9110 §8.6 leaves the choice",
    "Data after `Connection: close`": UNREAD,
    "Empty Content-Length": UNREAD,
    "Invalid character in Content-Length": UNREAD,
    "Content-Length overflow": UNREAD,
    "Empty Transfer-Encoding": UNREAD,
    "Content-Length can't be present with Transfer-Encoding": UNREAD,
    "Transfer-Encoding can't be present with Content-Length": UNREAD,
    "Invalid character in chunk size": "blanks after a chunk's size; old servers pad it",
    "Invalid character in chunk extensions": "extensions are passed over unread; RFC 9112 §7.1.1",
    "Invalid character in chunk extensions name": "the same",
    "Invalid character in chunk extensions value": "the same",
    "Invalid character in chunk extensions quoted value": "the same",
    "Invalid quoted-pair in chunk extensions quoted value": "the same",
    "Invalid character in chunk extensions quote value": "the same",
}
"""llhttp's complaints about answers that we accept, and why we do."""

STRICTER = {
    "not_http": "versions other than 1.0 and 1.1, and empty lines before the status line",
    "bad_status_line": "a status below 100, and control characters in the reason phrase",
    "head_too_large": "more than MAX_HEAD or MAX_LINES",
    "too_many_interim": "more than MAX_INTERIM",
    "bad_content_length": "more than 18 digits",
    "bad_transfer_encoding": "a coding other than chunked, beside it or instead of it",
    "bad_chunk": "a size of more than 15 digits, and control characters in extensions",
    "trailing_data": "a second answer: only one was asked for",
}
"""Our reasons for refusing answers that llhttp accepts, and when."""


class Message(Struct):
    """A response as llhttp reads it."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = []
    body: bytes = b""
    complete: bool = False
    keep_alive: bool = False

    @property
    def misread(self) -> bool:
        """Whether llhttp departs from the RFC here.

        It lets interim answers have bodies, against RFC 9112 §6.3, and does not know a coding with a tab after it,
        which is white space by RFC 9110 §5.6.3.
        """
        framing = [value for name, value in self.headers if name in (b"content-length", b"transfer-encoding")]
        return any(100 <= self.status < 200 or b"\t" in value for value in framing)


class Oracle:
    """llhttp's reading of some bytes: the messages, the last one perhaps not complete, and its complaint if any."""

    def __init__(self, text: bytes) -> None:
        self.messages: list[Message] = []
        self.complaint: str | None = None
        self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(text)
        except httptools.HttpParserError as error:
            self.complaint = str(error)
        except httptools.HttpParserUpgrade:
            self.complaint = "upgrade"

    @property
    def answers(self) -> list[Message]:
        """Without interim responses."""
        return [message for message in self.messages if message.status >= 200 or not message.complete]

    def on_message_begin(self) -> None:
        self.messages.append(Message())

    def on_header(self, name: bytes, value: bytes) -> None:
        self.messages[-1].headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.messages[-1].status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.messages[-1].body += body

    def on_message_complete(self) -> None:
        self.messages[-1].complete = True
        self.messages[-1].keep_alive = self._parser.should_keep_alive()


class Read(Struct):
    """Our reading: the first response, the reason why there is none, or neither while more is to come.

    ``left`` is how many pieces were not needed for it; ``at_end`` whether it took the end of the connection.
    """

    response: Response | None = None
    reason: str | None = None
    left: int = 0
    at_end: bool = False


def read(pieces: list[bytes]) -> Read:
    """What the reader makes of pieces and the end of the connection. Whatever else it raises is a bug."""
    reader = ResponseReader(HeaderNames(WANTED), KEEP)
    try:
        for number, piece in enumerate(pieces, 1):
            response = reader.feed(piece)
            if response is not None:
                return Read(response, left=len(pieces) - number)
        return Read(reader.end(), at_end=True)
    except ProtocolError as error:
        return Read(reason=error.reason)


def cut(text: bytes, cuts: list[int]) -> list[bytes]:
    """The text in pieces that are not empty."""
    edges = [0, *sorted(min(at, len(text)) for at in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges) if a < b]


def check_oracle(text: bytes) -> None:
    """What we accept llhttp accepts and reads alike; what it accepts and we refuse is in ``STRICTER``."""
    ours, theirs = read([text]), Oracle(text)
    if any(message.misread for message in theirs.messages):
        return
    if ours.response is not None:
        why = "" if theirs.complaint is None else LAXER.get(theirs.complaint)
        assert why is not None, f"llhttp refuses {text!r}: {theirs.complaint}"
        assert why is not UNREAD or text[9:10] == b"1" or ours.response.status in (204, 304), text
        if theirs.complaint is None:
            _check_alike(ours, theirs.answers, text)
    elif ours.reason is not None and theirs.complaint is None and any(m.complete for m in theirs.answers):
        assert ours.reason in STRICTER, f"we refuse {text!r}: {ours.reason}"


def _check_alike(ours: Read, answers: list[Message], text: bytes) -> None:
    response = ours.response
    assert response is not None
    assert len(answers) == 1, f"llhttp sees {len(answers)} answers in {text!r}"
    (theirs,) = answers
    assert theirs.complete is not ours.at_end, f"llhttp sees another end in {text!r}"
    assert theirs.status == response.status, text
    assert theirs.body == response.body, text
    assert theirs.keep_alive or not response.reusable, text
    for name in WANTED:
        values = [value.strip() for header, value in theirs.headers if header == name]
        assert response.headers.get(name) == (b"\n".join(dict.fromkeys(values)) if values else None), (name, text)


def check_pieces(text: bytes, cuts: list[int]) -> None:
    """However a text is cut, it reads the same; bytes after an answer may show only when they have come."""
    whole, pieces = read([text] if text else []), cut(text, cuts)
    parts = read(pieces)
    if parts.left:
        assert whole.reason == "trailing_data", (text, pieces)
    else:
        assert whole.reason == parts.reason, (text, pieces)
        assert whole.response == parts.response, (text, pieces)


def check_quick(text: bytes) -> None:
    """What is read at a glance is what reader and classifier say."""
    view = memoryview(bytearray(len(text) + 64))
    view[: len(text)] = text
    facts = Quick(view).read(len(text))
    if facts is not None:
        response = read([text]).response
        assert response is not None, text
        assert response.reusable, text
        judged = classify_function(response.status, response.headers, response.body, ResponseVersion.V0)
        assert judged == facts, text


def check_memory(text: bytes) -> None:
    """A reader keeps at most a head, a body as long as it may keep, and the piece it was given last."""
    reader = ResponseReader(HeaderNames(WANTED), 64)
    try:
        for piece in (text, text, text):
            if reader.feed(piece) is not None:
                return
    except ProtocolError:
        return
    assert len(reader._pending) <= MAX_HEAD + len(text)
    assert len(reader._body) <= 64
