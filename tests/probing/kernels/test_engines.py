"""The engines as a C++ program of their own: against the scalar one, under sanitizers, by other compilers, for ARM."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from probing.kernels import load_kernels

KERNELS = Path(__file__).parents[3] / "probing" / "kernels"
CHECK = Path(__file__).with_name("check_engines.cpp")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return pytest.mark.skipif(bool(missing), reason=f"no {', '.join(missing)} here")


def build_check(folder, compiler, *flags, kernels=KERNELS):
    """The program that compares engines, or the compiler's complaints."""
    sources = [str(path) for path in sorted(kernels.glob("*.cpp")) if path.name != "module.cpp"]
    program = folder / "check"
    command = [compiler, "-std=c++17", "-pthread", *flags, "-I", str(kernels), str(CHECK), *sources, "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def run_check(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(re.findall(r"^right (\w+),", done.stdout, re.MULTILINE))


@pytest.mark.slow
@pytest.mark.parametrize(
    "compiler", [pytest.param("g++", marks=needs("g++")), pytest.param("clang++", marks=needs("clang++"))]
)
def test_engines_agree_with_the_scalar_one_and_touch_no_memory_but_theirs(compiler, tmp_path):
    # clang's sanitizers are a package of their own.
    flags = ("-O1", "-g", *SANITIZERS) if compiler == "g++" else ("-O2",)
    checked = run_check(build_check(tmp_path, compiler, *flags))
    assert {"scalar", "scalar_bf16"} <= checked
    if load_kernels():
        assert checked == {name for name, _ in load_kernels().list_engines()}


@pytest.mark.slow
@needs("g++")
def test_the_check_finds_an_engine_that_errs(tmp_path):
    folder = tmp_path / "kernels"
    shutil.copytree(KERNELS, folder, ignore=shutil.ignore_patterns("*.so"))
    rows = folder / "rows.h"
    rows.write_text(
        rows.read_text().replace("variance + epsilon", "variance + (Lanes::kCount > 1 ? 0.1f : 0.0f) + epsilon")
    )
    program = build_check(tmp_path, "g++", "-O1", kernels=folder)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode > 0
    assert "WRONG" in done.stdout


@pytest.mark.slow
@needs("aarch64-linux-gnu-g++")
def test_the_engine_for_arm_agrees_with_the_scalar_one(tmp_path):
    program = build_check(tmp_path, "aarch64-linux-gnu-g++", "-O2", "-static")
    if not shutil.which("qemu-aarch64"):
        pytest.skip("compiled; no qemu-aarch64 here to run it")
    assert run_check("qemu-aarch64", program) == {"neon", "scalar", "scalar_bf16"}


@needs("objdump")
@pytest.mark.skipif(load_kernels() is None, reason="the kernels are not compiled")
def test_the_standard_library_is_compiled_without_any_engines_instructions():
    """A linker keeps one of a function's copies: with an engine's instructions, it would stop other processors."""
    listing = subprocess.run(
        ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", load_kernels().__file__],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    wide, own = set(), 0
    for function in re.split(r"\n(?=[0-9a-f]+ <)", listing):
        name = function.partition("\n")[0]
        if re.search(r"%[yz]mm|\bv\w+[ps][sd]\b", function):
            if "kernels::(anonymous namespace)" in name:
                own += 1
            else:
                wide.add(name)
    assert own or "%zmm" not in listing
    assert not wide
