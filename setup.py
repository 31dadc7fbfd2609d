"""Builds the modules of the hot path with a C compiler where there is one.

Without a compiler, or with ``LOADGEN_PURE=1``, the same package installs as pure Python.
"""

import os
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = {
    "loadgen.engine.connection": "loadgen/engine/connection.py",
    "loadgen.engine.invoker": "loadgen/engine/invoker.py",
    "loadgen.engine.kernel": "loadgen/engine/kernel.pyx",
    "loadgen.engine.monotonic": "loadgen/engine/monotonic.pyx",
    "loadgen.engine.requests": "loadgen/engine/requests.py",
    "loadgen.engine.tls": "loadgen/engine/tls.py",
    "loadgen.engine.workers": "loadgen/engine/workers.py",
    "loadgen.invocation.facts": "loadgen/invocation/facts.pyx",
    "loadgen.measure.counts": "loadgen/measure/counts.pyx",
    "loadgen.measure.packed": "loadgen/measure/packed.pyx",
    "loadgen.measure.recorder": "loadgen/measure/recorder.py",
    "loadgen.targets.functiongraph.protocol.quick": "loadgen/targets/functiongraph/protocol/quick.pyx",
    "loadgen.targets.quick": "loadgen/targets/quick.py",
}

FLAGS = [] if "CFLAGS" in os.environ else ["-g0"]
"""Python's own are -O3 and -g. Without debug symbols a third of the compiler's work is saved."""


class AllOrNone(build_ext):
    """The modules call each other in C, so if one cannot be built none may be."""

    def build_extensions(self) -> None:
        self.parallel = os.cpu_count()
        try:
            super().build_extensions()
        except Exception as error:  # no compiler, no headers, no space: each compiler says it in its own way
            self.warn(f"{error}; the hot path is not compiled, this installation is pure Python and slower")
            for extension in self.extensions:
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.extensions = []


def extensions() -> list[Extension]:
    """The compiled modules; none where they are not wanted or Cython is missing."""
    if os.environ.get("LOADGEN_PURE", "") not in ("", "0"):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    found: list[Extension] = cythonize(
        [Extension(name, [source], extra_compile_args=FLAGS) for name, source in SOURCES.items()],
        build_dir="build",
        language_level=3,
        # annotations are for the type checker; the types of the compiled build are in the .pxd files
        compiler_directives={"annotation_typing": False},
        quiet=True,
    )
    return sorted(found, key=lambda each: Path(each.sources[0]).stat().st_size, reverse=True)  # the longest first


setup(ext_modules=extensions(), cmdclass={"build_ext": AllOrNone})
