"""How fast this machine is, measured in some seconds before anything else: sizes are chosen by it."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from probing.encoders.checkpoints import find_checkpoint, load_model, load_tokenizer
from probing.representations.peak_rate import measure_peak_rate
from tests.benchmarks.encoding import encode_as_usual
from tests.benchmarks.sizes import Rate, draw_texts
from tests.benchmarks.threads import run_limited

_SENTENCES = 32
_FITTED, _UNITS, _CLASSES = 2000, 384, 6


def measure_rate(checkpoint: str) -> Rate:
    """A plain product in float32, the usual loop on 32 sentences, and one small fit of scikit-learn."""
    found = find_checkpoint(checkpoint)
    model, tokenizer = load_model(found).eval(), load_tokenizer(found)
    encode = partial(encode_as_usual, model, tokenizer, draw_texts(_SENTENCES))
    product = measure_peak_rate(model.config.hidden_size, "float32", "cpu")
    return Rate(_SENTENCES / time_best(encode), time_best(partial(run_limited, 1, fit_once)), product / 1e9)


def fit_once() -> LogisticRegression:
    """Six classes that a linear map of random vectors decides, with noise: the size of a small task's layer."""
    generator = np.random.default_rng(0)
    X = generator.standard_normal((_FITTED, _UNITS)).astype(np.float32)
    y = (X[:, :_CLASSES] + generator.standard_normal((_FITTED, _CLASSES)) / 2).argmax(axis=1)
    return LogisticRegression(max_iter=1000).fit(X, y)


def time_best(work: Callable[[], Any]) -> float:
    """Seconds of the quicker of two tries: the first one also warms up."""
    return min(_time(work) for _ in range(2))


def _time(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
