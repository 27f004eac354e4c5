"""Compiled kernels, made at installation: encoding, and probes' products, for several instruction sets.

`README.md` beside this file tells how they are made, and how to add one.
"""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_COMPILED = "probing.kernels.compiled"
_REASON = "not_compiled.txt"
"""Kept beside this file where compilation failed at installation: what the compiler complained about."""
_FOR_TESTS = ("scalar", "scalar_bf16")
"""Engines that any machine has, and that torch is faster than."""


@cache
def load_kernels() -> Any:
    """The compiled module, or None where there is none, or it cannot be loaded."""
    try:
        return import_module(_COMPILED) if find_spec(_COMPILED) else None
    except ImportError:
        return None


def find_engine(numbers: str) -> str:
    """The fastest engine of this processor whose products read such numbers; empty where there is none worth using.

    `amx` and `avx512_bf16` are for bfloat16; `avx512`, `avx2` and `neon` for float32.
    """
    kernels = load_kernels()
    engines = kernels.list_engines() if kernels else ()
    return next((name for name, read in engines if read == numbers and name not in _FOR_TESTS), "")


def why_not(numbers: str) -> str:
    """Why there is no engine for such numbers, as a sentence's end ("..., because ..."); empty where there is one."""
    if find_engine(numbers):
        return ""
    if load_kernels():
        return f"this processor has no products in {numbers} that the kernels know of"
    kept = Path(__file__).with_name(_REASON)
    if kept.is_file():
        return f"the kernels were not compiled at installation ({kept.read_text(encoding='utf-8').strip()})"
    if find_spec(_COMPILED):
        return f"the compiled kernels cannot be loaded ({_describe_error()})"
    return "the kernels were never compiled (install with pip, or run: python setup.py build_ext --inplace)"


def _describe_error() -> str:
    try:
        import_module(_COMPILED)
    except ImportError as error:
        return str(error)
    return "it can be loaded now"
