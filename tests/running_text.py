"""Blocks of drawn tokens, some of them hidden."""

import numpy as np

from probing.training.data.masking import Masking
from probing.training.data.running_text import hide
from probing.training.data.vocabulary import Marks

SIZE = 80
MARKS = Marks(1, 2, 4, np.arange(SIZE) < 5, np.arange(SIZE) >= 60)


def draw_batch(n=6, length=12, seed=0):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(5, SIZE, (n, length))
    blocks[:, 0] = 1
    blocks[rng.random(blocks.shape) < 0.2] = 2
    return hide(blocks, Masking(0.3), MARKS, rng)
