"""How large a figure of the platform's may be to be believed, and how much of its texts is kept."""

from __future__ import annotations

from typing import Final

NS_PER_MS: Final = 1_000_000
LONGEST_ID: Final = 128
"""Characters kept of a request id."""
LONGEST_MS: Final = 3_600_000
"""A duration above an hour is not believed: a synchronous call ends within 15 minutes. Nor can a histogram hold it."""
LARGEST_MB: Final = 1 << 16
"""A memory above this, more than six times the largest there is, is not believed."""
