"""Independent random generators, one per purpose, so that adding one draw moves no other."""

from hashlib import sha256

import numpy as np


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator that depends on the seed and on what it is for, and on nothing else.

    Args:
        seed: the run's seed.
        purpose: names that tell this use from all others, such as `"probe", "tree_depth", 3`.
    """
    return np.random.default_rng([seed, derived_seed(*purpose)])


def derived_seed(*purpose: str | int) -> int:
    """A 63-bit number that stands for a purpose, for generators that are not numpy's."""
    digest = sha256("\0".join(map(str, purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
