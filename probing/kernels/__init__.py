"""What is compiled at installation, for processors that multiply bfloat16 natively: encoding, and probes' products."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

_COMPILED = "probing.kernels.compiled"


def load_kernels() -> Any:
    """The compiled module, or None where no compiler was there at installation."""
    return import_module(_COMPILED) if find_spec(_COMPILED) else None


def find_unit() -> str:
    """The fastest unit of this processor that the kernels can use; empty where there is none, or no kernels."""
    kernels = load_kernels()
    return next(iter(kernels.find_units()), "") if kernels else ""
