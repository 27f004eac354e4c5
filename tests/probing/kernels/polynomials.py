"""Errors of the polynomials in `probing/kernels/functions.h`, whose terms are read from there, on dense grids.

python -m tests.probing.kernels.polynomials
"""

import re
from math import log2, sqrt
from pathlib import Path

import numpy as np
from scipy.special import ndtr

SOURCE = Path(__file__).parents[3] / "probing" / "kernels" / "functions.h"
POINTS = 200_001
"""Between two of them an error of degree 17 moves by less than a thousandth of itself."""


def read_terms(name: str) -> np.ndarray:
    """The terms of one polynomial, as float32 holds them, the highest power first."""
    found = re.search(rf"\b{name}\[\] = \{{(.*?)\}}", SOURCE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"no {name} in {SOURCE}"
    return np.array([float(term.strip().rstrip("f")) for term in found[1].split(",")], dtype=np.float32).astype(float)


def compute_phi_in_bf16(x: np.ndarray) -> np.ndarray:
    """What stands for the normal distribution function in bfloat16's GELU."""
    t = np.clip(x, -4.4, 4.4)
    return 0.5 + t * np.polyval(read_terms("kPhiInBf16"), t * t)


def compute_phi(x: np.ndarray) -> np.ndarray:
    """The same in float32's."""
    t = 1 / (1 + 0.231641888 * np.abs(x))
    tail = t * np.polyval(read_terms("kTail"), t) * np.exp(-x * x / 2)
    return np.where(x > 0, 1 - tail, tail)


def derive_errors() -> dict[str, float]:
    """The largest error of each: relative for powers, absolute for the others."""
    unit, wide = np.linspace(0, 1, POINTS), np.linspace(-12, 12, POINTS)
    return {
        "power_of_two_in_bf16": np.abs(np.polyval(read_terms("kPowerInBf16"), unit) / 2**unit - 1).max(),
        "power_of_two": np.abs(np.polyval(read_terms("kPower"), unit) / 2**unit - 1).max(),
        "log_of_two": np.abs(unit * np.polyval(read_terms("kLogarithm"), unit) - np.log2(1 + unit)).max(),
        "gelu_in_bf16": np.abs(wide * (compute_phi_in_bf16(wide) - ndtr(wide))).max(),
        "gelu": np.abs(compute_phi(wide) - ndtr(wide)).max(),
        "root of log2(e) / 2": abs(0.849321800288 - sqrt(log2(np.e) / 2)),
    }


if __name__ == "__main__":
    for function, error in derive_errors().items():
        print(f"{function:22} {error:.2e}")  # noqa: T201
