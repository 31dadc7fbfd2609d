"""What both builds of ``loadgen.engine.kernel`` go by."""

DOUBT_NS = 1_000_000_000
"""For how long no stamp is believed after the clocks moved against each other."""
STEP_NS = 20_000
"""The least that counts as a step; looking at both clocks takes much less."""
BATCH = 16
"""The most sockets that one ``turn`` tells, so that answers keep nothing that is due waiting."""
LINGER_NS = 1_000_000
"""How long a turn of an agent lasts at most while there is traffic, and how close together that is."""
PATIENCE_MS = 4
"""How long a turn waits for more traffic before it leaves the loop to others.

Not less than a tick of the kernel: for less it sets the processor's own timer for each wait, which costs a virtual
machine some 6 µs.
"""
READ, WRITE = 0x001, 0x004
GONE = 0x008 | 0x010 | 0x2000
"""EPOLLERR, EPOLLHUP and EPOLLRDHUP: the other side sends no more."""
