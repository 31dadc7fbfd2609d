"""What is invoked."""

from __future__ import annotations

from loadgen.targets.functiongraph.protocol.target import FunctionTarget
from loadgen.targets.http import HttpTarget

Target = FunctionTarget | HttpTarget
