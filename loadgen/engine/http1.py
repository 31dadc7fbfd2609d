"""Reading HTTP/1.1 responses, without I/O.

``ResponseReader.feed`` takes bytes as they arrive and gives a ``Response`` when one is complete. A response that
arrives in one piece, by far the most common case, is parsed without keeping anything; the rest goes through a small
state machine (head → body by length, chunks, or until the connection closes). The reader is strict: what RFC 9112
calls an error is a ``ProtocolError``, and the caller closes the connection. Two things are stricter than many
clients: a message with both Content-Length and Transfer-Encoding, and bytes after the end of a response, because in
both cases nobody can know where the next response begins. And lines end in CRLF: a CR or LF alone is an error as soon
as it is seen, since what it is part of can never become a response, and the server may be waiting for us.

Whether bytes arrive at once or one by one changes not what they mean, and what they cost by a constant factor only.
Everything that a server could send without end has a limit, so that neither memory nor the work for one read depends on
what it sends: heads, header lines, headers that are read, interim responses, lines between chunks, trailers, and bodies
as far as the caller says.

Source: RFC 9110 §8.6, §15 and RFC 9112 §4–§7, §9.3.
"""

from __future__ import annotations

import re

from msgspec import Struct

from loadgen.targets.port import MAX_LINES, MAX_VALUE

MAX_HEAD = 256 * 1024
"""Largest head accepted; the platform's gateway allows 128 KB of headers."""

MAX_REPEATS = 64
"""How often a header that is read may come at most: every hop may add one."""

MAX_INTERIM = 100
"""Most interim responses before one that counts; all together are at most ``MAX_HEAD`` long.

A server that says every ten seconds that it is still at work sends 90 in the 15 minutes of the longest call.
"""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_FEW_CHUNKS, _SMALL_CHUNK = 32, 512
_CHUNK = re.compile(_CHUNK_SIZE.pattern + rb"\r\n")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*")
_CONTROLS = bytes([*range(9), *range(10, 32), 127])  # no header may hold them. Source: RFC 9110 §5.5
_INTERIM = re.compile(rb"HTTP/1\.[01] 1")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_MAX_NAMES = 1024
_LONGEST_NAME = 64


class ProtocolError(Exception):
    """The bytes are not an HTTP/1.1 response. ``reason`` is a slug, the message says what was seen."""

    def __init__(self, reason: str, seen: bytes | bytearray) -> None:
        super().__init__(f"{reason}: {bytes(seen[:80])!r}")
        self.reason = reason


class Response(Struct, frozen=True, gc=False):
    """A complete response.

    ``headers`` has the wanted ones, names lower-cased, values stripped; of a repeated one every value that differs from
    those before it, one a line, as no value can hold a line feed. ``body`` holds at most the first ``keep`` bytes.
    ``reusable`` says whether the connection may carry another invocation.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    reusable: bool


class HeaderNames(dict[bytes, bytes]):
    """Header names exactly as servers write them → lower case, or empty for those nobody wants.

    Learned as they come and shared by all connections: servers write the same few over and over. A name that is not a
    token raises ProtocolError.
    """

    def __init__(self, wanted: frozenset[bytes]) -> None:
        super().__init__()
        self._wanted = wanted | _FRAMING

    def __missing__(self, raw: bytes) -> bytes:
        if _TOKEN.fullmatch(raw) is None:
            raise ProtocolError("bad_header", raw)
        lower = raw.lower()
        name = lower if lower in self._wanted else b""
        if len(self) < _MAX_NAMES and len(raw) <= _LONGEST_NAME:  # a hostile server may invent names without end
            self[raw] = name
        return name


class ResponseReader:
    """Reads one response after another from a connection.

    ``names`` gives the wanted headers; ``keep`` is how much of a body is kept, and ``most`` how long one may be, None
    for any length. ``bodiless`` is for answers to HEAD, which have none whatever their headers say.
    """

    __slots__ = (
        "_bodiless",
        "_body",
        "_head",
        "_http11",
        "_interim",
        "_interim_bytes",
        "_keep",
        "_left",
        "_most",
        "_names",
        "_pending",
        "_pieces",
        "_room",
        "_state",
        "_status",
        "_status_line",
        "_trailer_bytes",
        "_trailers",
    )

    def __init__(self, names: HeaderNames, keep: int, *, most: int | None = None, bodiless: bool = False) -> None:
        self._names = names
        self.expect(keep, most=most, bodiless=bodiless)
        # the last one seen: usually the next one too; at first one that no line can be
        self._status_line, self._status, self._http11 = b"\r\n", 0, False
        self._pending = bytearray()  # an unfinished head, or line between chunks
        self._interim = self._interim_bytes = 0
        self._state = _HEAD
        self._head: tuple[int, dict[bytes, bytes], bool] = (0, {}, False)
        self._body = bytearray()
        self._left = 0
        self._room = 0  # what the chunks to come, or the rest until the end, may still hold
        self._trailer_bytes = self._trailers = 0
        self._pieces = 0  # chunks in what was fed last

    def expect(self, keep: int, *, most: int | None, bodiless: bool) -> None:
        """From the next response on, these are ``keep``, ``most`` and ``bodiless``."""
        self._keep = keep
        self._most = 1 << 62 if most is None else most
        self._bodiless = bodiless

    @property
    def idle(self) -> bool:
        """Whether no byte of a response, interim ones included, has been read since the last complete one."""
        return self._state is _HEAD and not self._pending and not self._interim

    @property
    def begun(self) -> bool:
        """Whether the final response has begun: interim ones say nothing about it (RFC 9110, 15.2)."""
        return self._state is not _HEAD or (bool(self._pending) and not _INTERIM.match(self._pending))

    def laborious(self, read: int) -> bool:
        """Whether what was ``read`` last was so many small chunks that as much of them again would be too much work."""
        pieces, self._pieces = self._pieces, 0
        return pieces > _FEW_CHUNKS and pieces * _SMALL_CHUNK > read

    def feed(self, data: bytes) -> Response | None:
        """Read more bytes; the response when it is complete.

        Raises ProtocolError; the reader is of no use afterwards.
        """
        if self._state is not _HEAD:
            return self._feed_body(data)
        seen = len(self._pending)
        if seen:
            self._pending += data
            end = self._pending.find(b"\r\n\r\n", max(0, seen - 3))
            if end < 0:
                _could_begin_a_head(self._pending, seen)
                return None
            data = bytes(self._pending)
        else:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                _could_begin_a_head(data, 0)
                self._pending += data
                return None
        status, headers, http11 = self._parse_head(data[:end])
        length = headers.get(b"content-length")
        # the fast path: everything is here, framed by its length
        if (
            length is not None
            and len(length) < 10
            and length.isdigit()
            and len(data) - end - 4 == (size := int(length))
            and http11
            and status >= 200
            and status not in (204, 304)
            and headers.get(b"connection", b"keep-alive") == b"keep-alive"
            and b"transfer-encoding" not in headers
            and not self._bodiless
            and size <= self._most
        ):
            if seen:
                self._pending = bytearray()
            self._interim = self._interim_bytes = 0
            body = data[end + 4 :]
            return Response(status, headers, body if size <= self._keep else body[: self._keep], True)
        self._pending = bytearray()
        if status < 200:
            return self._pass_over(status, data, end)
        return self._begin_body(status, headers, http11, data[end + 4 :])

    def end(self) -> Response | None:
        """The connection closed: the response that only its end delimits, or None when there was none under way.

        Raises ProtocolError (reason ``closed_early``) in the middle of a response.
        """
        if self._state is _UNTIL_CLOSE:
            return self._complete(reusable=False)
        if self.idle:
            return None
        raise ProtocolError("closed_early", bytes(self._pending))

    def _parse_head(self, head: bytes) -> tuple[int, dict[bytes, bytes], bool]:
        try:
            return self._parsed_head(head)
        except ProtocolError:
            _could_begin_a_head(head + b"\r\n", 0)  # what would have been seen first, had it come byte by byte
            raise

    def _parsed_head(self, head: bytes) -> tuple[int, dict[bytes, bytes], bool]:
        if len(head) > MAX_HEAD:
            raise ProtocolError("head_too_large", head)
        lines = head.split(b"\r\n")
        if len(lines) > MAX_LINES:
            raise ProtocolError("head_too_large", head)
        if lines[0] != self._status_line:
            self._learn_status_line(lines[0])
        if len(head) - len(head.translate(None, _CONTROLS)) != 2 * (len(lines) - 1):  # more than the line ends
            raise ProtocolError("bad_header", head)
        headers: dict[bytes, bytes] = {}
        repeated: dict[bytes, list[bytes]] | None = None
        names = self._names
        for line in lines[1:]:
            colon = line.find(b":")
            if colon < 1:
                raise ProtocolError("bad_header", line)
            name = names[line[:colon]]
            if name:
                value = line[colon + 1 :].strip()
                if name not in headers:
                    headers[name] = value
                else:
                    repeated = {} if repeated is None else repeated
                    repeated.setdefault(name, [headers[name]]).append(value)
        if repeated is not None:
            headers.update((name, _repeated(name, values)) for name, values in repeated.items())
        if len(head) > MAX_VALUE and (long := next((each for each in headers.values() if len(each) > MAX_VALUE), None)):
            raise ProtocolError("header_too_large", long)
        return self._status, headers, self._http11

    def _learn_status_line(self, line: bytes) -> None:
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError("bad_status_line" if line.startswith(b"HTTP/1.") else "not_http", line)
        self._status_line, self._status, self._http11 = line, int(match[2]), match[1] == b"1"

    def _begin_body(self, status: int, headers: dict[bytes, bytes], http11: bool, rest: bytes) -> Response | None:
        options = {option.strip().lower() for option in headers.get(b"connection", b"").split(b",")}
        reusable = b"close" not in options and (http11 or b"keep-alive" in options)
        self._head = (status, headers, reusable)
        self._body = bytearray()
        coding = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        if coding is not None and length is not None:
            raise ProtocolError("two_lengths", length)
        if self._bodiless or status in (204, 304):
            self._state, self._left = _LENGTH_BODY, 0
        elif coding is not None:
            if coding.lower() != b"chunked":
                raise ProtocolError("bad_transfer_encoding", coding)
            self._state, self._room = _CHUNK_HEAD, self._most
            self._head = (status, headers, reusable and http11)  # HTTP/1.0 has no chunks: RFC 9112 §6.1
        elif length is not None:
            if _LENGTH.fullmatch(length) is None:
                raise ProtocolError("bad_content_length", length)
            self._state, self._left = _LENGTH_BODY, int(length)
            if self._left > self._most:
                raise ProtocolError("body_too_large", length)
        else:
            self._state, self._room = _UNTIL_CLOSE, self._most
        return self._feed_body(rest)

    def _pass_over(self, status: int, data: bytes, end: int) -> Response | None:
        """Read on behind the interim responses that the data begins with, the first of whose heads ends at ``end``."""
        position = 0
        while end >= 0 and status < 200:
            if status == 101:
                raise ProtocolError("upgraded", b"101 Switching Protocols")
            self._interim += 1
            self._interim_bytes += end + 4 - position
            if self._interim > MAX_INTERIM or self._interim_bytes > MAX_HEAD:
                raise ProtocolError("too_many_interim", data[position:end])
            position = end + 4
            end = data.find(b"\r\n\r\n", position)
            if end >= 0:
                status, _, _ = self._parse_head(data[position:end])
        rest = data[position:]
        return self.feed(rest) if rest else None

    def _feed_body(self, data: bytes) -> Response | None:
        if self._state is _LENGTH_BODY:
            if len(data) > self._left:
                raise ProtocolError("trailing_data", data[self._left :])
            self._keep_body(data)
            self._left -= len(data)
            return self._complete(reusable=self._head[2]) if not self._left else None
        if self._state is _UNTIL_CLOSE:
            self._take_room(len(data))
            self._keep_body(data)
            return None
        seen = len(self._pending)
        if not seen:
            return self._feed_chunks(data, 0)
        pending, self._pending = self._pending, bytearray()
        pending += data
        return self._feed_chunks(pending, seen)

    def _feed_chunks(self, data: bytes | bytearray, seen: int) -> Response | None:
        """Read what follows the head; the first ``seen`` bytes are known not to end a line."""
        position = self._pieces = 0
        while True:
            if self._state is _CHUNK_HEAD and position >= seen:  # of a line that comes in pieces each is read once
                position = self._take_chunks(data, position)
            elif self._state is _CHUNK_DATA:
                piece = data[position : position + self._left]
                self._keep_body(piece)
                position += len(piece)
                self._left -= len(piece)
                if self._left:
                    return None
                self._state = _CHUNK_END
            line_end = data.find(b"\r\n", max(position, seen - 1))
            if line_end < 0:
                self._wait_for_line(data, position, seen)
                return None
            line = data[position:line_end]
            position = line_end + 2
            if len(line) > MAX_HEAD:
                raise ProtocolError(self._bad_line, line)
            if self._state is _CHUNK_END:
                if line:
                    raise ProtocolError("bad_chunk", line)
                self._state = _CHUNK_HEAD
            elif self._state is _CHUNK_HEAD:
                match = _CHUNK_SIZE.fullmatch(line)
                if match is None:
                    raise ProtocolError("bad_chunk", line)
                self._left = int(match[1], 16)
                self._take_room(self._left)
                self._state = _CHUNK_DATA if self._left else _TRAILERS
                self._trailer_bytes = self._trailers = 0
            elif line:  # a trailer field: allowed, and of no use to us
                self._trailer_bytes += len(line)
                self._trailers += 1
                if self._trailer_bytes > MAX_HEAD or self._trailers > MAX_LINES or _TRAILER.fullmatch(line) is None:
                    raise ProtocolError("bad_trailer", line)
            elif position < len(data):
                raise ProtocolError("trailing_data", data[position:])
            else:
                return self._complete(reusable=self._head[2])

    def _take_chunks(self, data: bytes | bytearray, position: int) -> int:
        """Read the chunks from this position on that are here to their end; where the next one begins."""
        body, keep, pieces = self._body, self._keep, 0
        while (match := _CHUNK.match(data, position)) is not None:
            begin = match.end()
            size = int(match[1], 16)
            end = begin + size
            if not size or data[end : end + 2] != b"\r\n" or begin - position > MAX_HEAD:
                break
            self._take_room(size)
            if len(body) < keep:
                self._keep_body(data[begin:end])
            position = end + 2
            pieces += 1
        self._pieces += pieces
        return position

    def _take_room(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise ProtocolError("body_too_large", b"%d bytes more" % size)

    @property
    def _bad_line(self) -> str:
        """What a line that cannot be is called here."""
        return "bad_trailer" if self._state is _TRAILERS else "bad_chunk"

    def _wait_for_line(self, data: bytes | bytearray, position: int, seen: int) -> None:
        """Wait for the rest of the line that begins at the position, unless it can never become one."""
        begun = data[position:] if position or not isinstance(data, bytearray) else data
        known = max(0, seen - position)
        if (
            _lone_end(begun, known, MAX_HEAD + 1)
            or len(begun) > MAX_HEAD + 1
            or (self._state is _CHUNK_END and begun not in (b"", b"\r"))
        ):
            raise ProtocolError(self._bad_line, begun)
        self._pending = begun if isinstance(begun, bytearray) else bytearray(begun)

    def _keep_body(self, data: bytes | bytearray) -> None:
        room = self._keep - len(self._body)
        if room > 0:
            self._body += data if len(data) <= room else data[:room]

    def _complete(self, *, reusable: bool) -> Response:
        status, headers, _ = self._head
        body = bytes(self._body)
        self._body = bytearray()
        self._pending = bytearray()
        self._interim = self._interim_bytes = 0
        self._state = _HEAD
        return Response(status, headers, body, reusable)


def _could_begin_a_head(data: bytes | bytearray, seen: int) -> None:
    """Raises ProtocolError where this can never become a head; of the first ``seen`` bytes they can, as is known."""
    prefix = data[:7]
    if seen < 7 and prefix != b"HTTP/1."[: len(prefix)]:
        raise ProtocolError("not_http", data)
    if _lone_end(data, seen, MAX_HEAD + 3):
        raise ProtocolError("bad_line_ending", data)
    if len(data) > MAX_HEAD + 3:  # all of the end may be here but its last byte
        raise ProtocolError("head_too_large", data)


def _lone_end(data: bytes | bytearray, seen: int, most: int) -> bool:
    """Whether a CR or an LF stands alone within ``most`` bytes; among the first ``seen`` none does.

    A CR in the last place may still be followed by its LF.
    """
    begin = seen - (seen > 0 and data[seen - 1] == 13)
    pairs, line_feeds = data.count(b"\r\n", begin, most), data.count(b"\n", begin, most)
    returns = data.count(b"\r", begin, most) - (len(data) > 0 and data[min(len(data), most) - 1] == 13)
    return line_feeds != pairs or returns != pairs


def _repeated(name: bytes, values: list[bytes]) -> bytes:
    """The value of a header that came several times."""
    if name in (b"connection", b"transfer-encoding"):
        return b", ".join(values)
    if len(values) > MAX_REPEATS:
        raise ProtocolError("header_too_large", name)
    if name == b"content-length" and len(set(values)) > 1:
        raise ProtocolError("two_lengths", b", ".join(values))
    return b"\n".join(dict.fromkeys(values))


_HEAD, _LENGTH_BODY, _UNTIL_CLOSE, _CHUNK_HEAD, _CHUNK_DATA, _CHUNK_END, _TRAILERS = range(7)
