"""What queueing theory expects of a function before any load is sent.

A call occupies its place for a busy time S, so on average λ·E[S] are in flight (Little). With Poisson arrivals and
rejection at C calls at once, the share that is rejected is Erlang's B formula, whatever the law of S.

Sources: J. D. C. Little, A Proof for the Queuing Formula L = λW, 1961; A. K. Erlang, 1917, in the recursive form
B(0) = 1, B(k) = a·B(k-1) / (k + a·B(k-1)); insensitivity to the law of S: B. A. Sevastyanov, 1957.
"""

from __future__ import annotations


def blocking(places: int, offered: float) -> float:
    """The share of arrivals that find all ``places`` taken, where ``offered`` = λ·E[S] would be in flight."""
    share = 1.0
    for k in range(1, places + 1):
        share = offered * share / (k + offered * share)
    return share


def offered(places: int, share: float) -> float:
    """The load at which the share ``share`` of the arrivals is rejected; the inverse of ``blocking``.

    Raises ValueError unless 0 < ``share`` < 1 and there is a place.
    """
    if places < 1 or not 0 < share < 1:
        raise ValueError(f"{places} places and a share of {share}, expected at least one and between 0 and 1")
    low, high = 0.0, places / (1 - share)  # of the load, at most `places` can be in flight
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if blocking(places, middle) < share else (low, middle)
    return (low + high) / 2
