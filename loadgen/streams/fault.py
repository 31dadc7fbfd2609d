"""What keeps a stream from beginning."""

from __future__ import annotations


class StreamError(Exception):
    """A stream cannot be opened. The message is one line: what was seen and what to do."""
