from __future__ import annotations

import pytest

from loadgen.targets.endpoint import in_clear, loopback
from loadgen.targets.functiongraph.protocol.iam import iam_of, iam_origin


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("emulator", True),
        ("http://127.0.0.1:8080", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8080", True),
        ("http://localhost", True),
        ("http://0.0.0.0", False),
        ("http://localhost.example", False),
        ("http://127.0.0.1.example", False),
        ("http://10.0.0.1", False),
        ("https://functiongraph.eu-de.otc.t-systems.com", False),
    ],
)
def test_loopback_is_what_cannot_leave_this_machine(endpoint: str, expected: bool) -> None:
    assert loopback(endpoint) is expected


def test_in_the_clear_is_http_to_another_machine() -> None:
    assert in_clear("http://x.example")
    assert in_clear("HTTP://x.example")
    assert not in_clear("https://x.example")
    assert not in_clear("http://127.0.0.1")
    assert not in_clear("emulator")


@pytest.mark.parametrize(
    ("endpoint", "iam"),
    [
        ("https://functiongraph.eu-de.otc.t-systems.com", "https://iam.eu-de.otc.t-systems.com"),
        ("https://functiongraph.cn-north-4.myhuaweicloud.com", "https://iam.cn-north-4.myhuaweicloud.com"),
        ("https://functiongraph.local", None),
        ("https://gateway.example.com", None),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("emulator", "emulator"),
    ],
)
def test_iam_is_beside_the_vendors_endpoint_and_at_a_loopback_one(endpoint: str, iam: str | None) -> None:
    assert iam_of(endpoint) == iam


@pytest.mark.parametrize("path", ["", "/", "/v3", "/v3/", "/v3/auth/tokens"])
def test_the_path_that_tokens_have_everywhere_may_be_written(path: str) -> None:
    assert iam_origin(f"https://iam.example{path}") == "https://iam.example"
    assert iam_origin("https://iam.example/v2") == "https://iam.example/v2"
