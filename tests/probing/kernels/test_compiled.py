"""What is known of kernels that are not there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from probing import kernels

ROOT = Path(kernels.__file__).parents[2]
HELPERS = """
from setuptools import Extension
def Pybind11Extension(*arguments, cxx_std, **options):
    return Extension(*arguments, language="c++", **options)
"""
"""In place of pybind11, which is there while the project is built, and not afterwards."""


@pytest.fixture
def absent(monkeypatch, tmp_path):
    """As where nothing was compiled; the folder that the kernels look for a reason in."""
    monkeypatch.setattr(kernels, "load_kernels", lambda: None)
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "__init__.py"))
    return tmp_path


def test_an_engine_is_found_or_there_is_a_reason():
    for numbers in ("bfloat16", "float32"):
        assert bool(kernels.find_engine(numbers)) != bool(kernels.why_not(numbers))


def test_kernels_that_were_never_compiled_are_said_to_be_so(absent):
    assert absent.is_dir()
    assert kernels.find_engine("float32") == ""
    assert "never compiled" in kernels.why_not("float32")


def test_what_the_compiler_complained_about_is_kept(absent):
    (absent / "not_compiled.txt").write_text("g++ failed: error: no such thing\n")
    assert "were not compiled at installation (g++ failed: error: no such thing)" in kernels.why_not("float32")


def test_a_processor_without_such_products_is_named(monkeypatch):
    class Compiled:
        @staticmethod
        def list_engines():
            return [("scalar_bf16", "bfloat16"), ("avx2", "float32")]

    monkeypatch.setattr(kernels, "load_kernels", lambda: Compiled)
    assert kernels.why_not("bfloat16") == "this processor has no products in bfloat16 that the kernels know of"
    assert (kernels.why_not("float32"), kernels.find_engine("float32")) == ("", "avx2")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compiler", "source", "reason"),
    [("no-such-compiler", "", "no-such-compiler"), ("g++", "this is no C++\n", "error: expected unqualified-id")],
)
def test_a_compilation_that_fails_lets_the_installation_go_on_and_leaves_a_reason(compiler, source, reason, tmp_path):
    pytest.importorskip("setuptools")
    helpers = tmp_path / "stub" / "pybind11" / "setup_helpers.py"
    helpers.parent.mkdir(parents=True)
    helpers.write_text(HELPERS)
    folder = tmp_path / "probing" / "kernels"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "setup.py", tmp_path)
    (folder / "module.cpp").write_text(source)
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    environment = os.environ | {"CC": compiler, "CXX": compiler, "PYTHONPATH": str(tmp_path / "stub")}
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert reason in (folder / "not_compiled.txt").read_text()
    assert not list(folder.glob("*.so"))
