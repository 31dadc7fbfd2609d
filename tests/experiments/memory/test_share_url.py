from __future__ import annotations

import base64

import numpy as np

from loadgen.experiments.memory.share_url import VIEWER, share_url

KNOWN = [(128, 36555.39, 7.612e-5), (256, 18441.58, 7.696e-5), (512, 8539.34, 7.155e-5), (1024, 3870.76, 6.489e-5)]


def test_the_link_is_the_known_answer() -> None:
    fragment = "gAAAAQACAAQ=;ZMsORykTkEZcbQVGKexxRQ==;naKfOJZloTgdDZY4jhWIOA=="
    assert share_url(KNOWN, "USD") == f"{VIEWER}#{fragment}"
    assert share_url(KNOWN[::-1], "CNY") == f"{VIEWER}?currency=CNY#{fragment}"


def test_the_arrays_are_little_endian_numbers_sorted_by_size() -> None:
    sizes, durations, costs = share_url(KNOWN).partition("#")[2].split(";")
    assert np.frombuffer(base64.b64decode(sizes), "<i2").tolist() == [128, 256, 512, 1024]
    assert np.allclose(np.frombuffer(base64.b64decode(durations), "<f4"), [row[1] for row in KNOWN])
    assert np.allclose(np.frombuffer(base64.b64decode(costs), "<f4"), [row[2] for row in KNOWN])
