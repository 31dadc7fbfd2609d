from __future__ import annotations

import os
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from loadgen.build import COMPILED, build

ROOT = Path(__file__).parent.parent


def said(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_pure_build_imports_no_compiled_module() -> None:
    code = f"""
import importlib
from loadgen.build import build
files = [importlib.import_module(name).__file__ for name in {COMPILED}]
print(build(), all(file.endswith(".py") for file in files))
"""
    assert said(code, LOADGEN_PURE="1") == "pure True"


@pytest.mark.skipif(build() == "pure", reason="this installation is not compiled")
def test_the_compiled_build_imports_every_module_of_the_hot_path_compiled() -> None:
    code = f"""
import importlib
files = [importlib.import_module(name).__file__ for name in {COMPILED}]
print(any(file.endswith(".py") for file in files))
"""
    assert said(code, LOADGEN_PURE="") == "False"


def test_what_is_compiled_is_what_the_package_takes_for_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["setup.py", "--version"])
    monkeypatch.chdir(ROOT)
    assert tuple(runpy.run_path("setup.py")["SOURCES"]) == COMPILED


@pytest.mark.timeout(300)
def test_without_a_c_compiler_the_same_package_installs_as_pure_python(tmp_path: Path) -> None:
    copy = tmp_path / "source"
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    for path in (ROOT / "loadgen").rglob("*"):
        if path.is_file() and path.suffix not in (".so", ".pyc"):
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(copy)],
        env={**os.environ, "CC": "/bin/false", "LOADGEN_PURE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.endswith(".so")]
    assert {"loadgen/py.typed", "loadgen/report/report.html.jinja", "loadgen/measure/counts.py"} <= set(names)
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    code = "import loadgen.engine.agent, loadgen.build as b; print(b.build(), b.__file__)"
    assert said(code, PYTHONPATH=str(installed), LOADGEN_PURE="") == f"pure {installed}/loadgen/build.py"
