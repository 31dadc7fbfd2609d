"""Answers to begin from, good and bad, and what they are made of."""

from __future__ import annotations

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

SEEDS = (
    HEAD + b"Content-Length: 2\r\n\r\n{}",
    HEAD + b"content-length:  2 \r\nX-A: \xff\t\r\nX-A:\r\n\r\n{}",
    HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    HEAD + b"Content-Length: 2\r\nConnection: Keep-Alive, close\r\n\r\n{}",
    HEAD + b"\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.0 404 Not Found\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 429\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + HEAD + b"Content-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    CHUNKED + b"2\r\n{}\r\n0\r\n\r\n",
    CHUNKED + b'A;name="va;lue";b\r\n0123456789\r\n00 \r\nTrailer: x\r\nX-B:\r\n\r\n',
    HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    CHUNKED + b"0\r\nA: b\nC: d\r\n\r\n",
    b"\r\nX-A: 1\r\n\r\n" + HEAD + b"Content-Length: 0\r\n\r\n",
    HEAD + b"Content-Length: \v2\r\nX-A: \x01\r\n\r\n{}",
    HEAD + b"X-A: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
    HEAD
    + b'X-Cff-Invoke-Summary: {"duration":0.013,"billingDuration":1,"memorySize":128,"memoryUsed":41.51171875}\r\n'
    + b"X-Cff-Request-Id: 1cbe80f3\r\nX-CFF-Billing-Duration: 1\r\nX-Func-Err-Code: 0\r\nX-Is-Func-Err: false\r\n"
    + b"Connection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
)

TOKENS = (
    *(b"\r\n", b"\r", b"\n", b"\r\n\r\n", b" ", b"\t", b":", b";", b",", b"=", b'"', b"\\"),
    *(b"\0", b"\v", b"\x7f", b"\xff"),
    *(b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/2.0 ", b"100 Continue", b"101 Switching", b"199 x", b"200 OK", b"204", b"304"),
    *(b"Content-Length", b"Transfer-Encoding", b"Connection", b"X-A", b"Upgrade", b"X-Cff-Request-Id"),
    *(b"chunked", b"gzip", b"close", b"keep-alive", b"0", b"1", b"2", b"-1", b"+1", b"1, 1", b"0x1", b"00", b"f", b"A"),
    *(b"99999999999999999999", b"FFFFFFFFFFFFFFFFF", b"0\r\n\r\n", b"1\r\na\r\n", b"abc"),
)  # fmt: skip
