from __future__ import annotations

import os
import runpy
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from loadgen import __version__
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
from loadgen import __version__
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


BUILD = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in")
WRITTEN = {"PKG-INFO", "setup.cfg"}  # by the build itself


def sources() -> set[str]:
    """The files of the package, as they are in a clone."""
    files = (path for path in (ROOT / "loadgen").rglob("*") if path.is_file() and path.suffix not in (".so", ".pyc"))
    return {path.relative_to(ROOT).as_posix() for path in files}


def clone(directory: Path) -> Path:
    """What is built from, without anything that was built."""
    for name in (*BUILD, *sources()):
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    return directory


def within(names: Iterable[str]) -> set[str]:
    """Files of an archive, without its directories and what is said of the package in it."""
    return {name for name in names if not name.endswith("/") and ".dist-info/" not in name and ".egg-info/" not in name}


def test_a_source_distribution_holds_what_is_built_from_and_nothing_else(tmp_path: Path) -> None:
    copy = clone(tmp_path / "source")
    code = "from setuptools.build_meta import build_sdist; build_sdist('dist')"
    environment = {**os.environ, "LOADGEN_PURE": "1"}  # what is compiled is no part of it
    subprocess.run([sys.executable, "-c", code], cwd=copy, env=environment, capture_output=True, check=True)
    (made,) = (copy / "dist").glob("*.tar.gz")
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    assert within(names) == sources() | set(BUILD) | WRITTEN


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_wheel_holds_the_package_and_its_modules_and_runs_in_a_new_environment(tmp_path: Path) -> None:
    copy, here = clone(tmp_path / "source"), tmp_path / "here"
    here.mkdir()
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    quickly = {**os.environ, "CFLAGS": "-O0 -g0"}  # how fast the modules are is not what is tested
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(here), str(copy)], env=quickly, check=True
    )
    (wheel,) = here.glob("*.whl")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    modules = {f"{name.replace('.', '/')}{suffix}" for name in COMPILED}
    assert within(zipfile.ZipFile(wheel).namelist()) == modules | {
        name for name in sources() if not name.endswith((".pyx", ".pxd"))
    }
    venv.create(here / "new", with_pip=True)
    installed = here / "new" / "bin"
    subprocess.run([installed / "pip", "--quiet", "install", wheel], check=True)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(here)}
    script = "{0} --version && {0} doctor && {0} init && {0} run scenario.yaml --out run --set phases.0.duration=1s {1}"
    short = "--set phases.1.duration=2s --set phases.1.rate=20/s --set 'thresholds=[errors < 1%]'"
    done = subprocess.run(
        ["sh", "-c", script.format(installed / "loadgen", short)],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"loadgen, version {__version__}\n")
    assert "build           compiled" in done.stdout
    assert (here / "run" / "report.html").exists()


@pytest.mark.timeout(300)
def test_without_a_c_compiler_the_same_package_installs_as_pure_python(tmp_path: Path) -> None:
    copy = clone(tmp_path / "source")
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
    carried = ("page.js", "page.css", "vendor/uPlot.iife.min.js", "vendor/uPlot.css", "vendor/uPlot.LICENSE")
    assert {f"loadgen/report/{name}" for name in carried} <= set(names)
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    code = "import loadgen.engine.agent, loadgen.build as b; print(b.build(), b.__file__)"
    assert said(code, PYTHONPATH=str(installed), LOADGEN_PURE="") == f"pure {installed}/loadgen/build.py"
