import re

import numpy as np
import pytest
from scipy.special import ndtr

from probing.kernels import load_kernels
from tests.probing.kernels.polynomials import SOURCE, derive_errors

needs_kernels = pytest.mark.skipif(load_kernels() is None, reason="the kernels are not compiled")
CLAIM = r"([\d.]+e-\d+)"
FUNCTIONS = {
    "power_of_two": (-np.logspace(-6, np.log10(120), 40_000), np.exp2, lambda x, exact: exact),
    "log_of_two": (np.linspace(1, 2, 40_000, endpoint=False), np.log2, lambda x, exact: 1),
    "gelu": (np.linspace(-9, 9, 40_000), lambda x: x * ndtr(x), lambda x, exact: np.maximum(np.abs(x), 1e-6)),
}
"""Numbers, the function by another route in float64, and what its error is a share of."""


def read_claims():
    """By function, what the comment before it says of the polynomial's error, and of all errors together."""
    pattern = rf"polynomial {CLAIM}, all {CLAIM}[^;]*?inline Vector (\w+)\("
    found = re.findall(pattern, SOURCE.read_text(encoding="utf-8"), re.DOTALL)
    return {name: (float(polynomial), float(everything)) for polynomial, everything, name in found}


def list_engines():
    kernels = load_kernels()
    return kernels.list_engines() if kernels else []


def test_polynomials_have_the_errors_that_the_source_claims():
    claims, derived = read_claims(), derive_errors()
    assert set(claims) == {"power_of_two", "power_of_two_in_bf16", "log_of_two", "gelu", "gelu_in_bf16"}
    for name, (claimed, _) in claims.items():
        assert 0.9 * claimed < derived[name] <= claimed, name


@needs_kernels
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("engine", "numbers"), list_engines())
def test_every_engine_computes_functions_within_the_errors_that_the_source_claims(engine, numbers, name):
    points, function, measure = FUNCTIONS[name]
    x = points.astype(np.float32)
    found, exact = load_kernels().apply(engine, name, x).astype(float), function(x.astype(float))
    in_bf16 = numbers == "bfloat16" and name != "log_of_two"
    _, claimed = read_claims()[f"{name}_in_bf16" if in_bf16 else name]
    share = 1 if in_bf16 and name == "gelu" else measure(x, exact)
    error = (np.abs(found - exact) / share).max()
    assert claimed / 10 < error < claimed


@needs_kernels
@pytest.mark.parametrize(("engine", "numbers"), list_engines())
def test_ends_are_as_they_should_be(engine, numbers):
    del numbers
    x = np.full(16, -np.inf, dtype=np.float32)
    assert load_kernels().apply(engine, "power_of_two", x).max() < 2e-38
    assert np.isnan(load_kernels().apply(engine, "power_of_two", np.full(16, np.nan, dtype=np.float32))).all()
    assert np.isnan(load_kernels().apply(engine, "gelu", np.full(16, np.nan, dtype=np.float32))).all()
    assert load_kernels().apply(engine, "power_of_two", np.zeros(16, dtype=np.float32)) == pytest.approx(1, abs=4e-6)
    np.testing.assert_allclose(load_kernels().apply(engine, "gelu", np.full(16, 30, dtype=np.float32)), 30, rtol=4e-6)
