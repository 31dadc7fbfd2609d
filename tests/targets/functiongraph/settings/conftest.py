from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.servers.management import Management, managing


@pytest.fixture
async def platform() -> AsyncIterator[Management]:
    """A management API with one function."""
    async with managing() as served:
        yield served
