"""Each engine of the kernels beside the usual ways, in processor seconds of one thread, side by side in one process.

`python -m tests.benchmarks.engines --treebank FILE.conllu` encodes by each engine that this processor has, against a
plain product of the same width and number format, the loop over unsorted batches of 32, and the bench's loop; on real
sentences and on the controlled corpus. Each engine has a process of its own, where other libraries too know no wider
instructions. `--fits TASK` times probes of all layers against scikit-learn's fits of one layer instead.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import tyro

from probing.encoders.bert import build
from probing.encoders.checkpoints import find_checkpoint, load_model, load_tokenizer
from probing.kernels import load_kernels
from probing.records import Text
from probing.representations.peak_rate import count_operations
from probing.representations.shard_encoding import tokenise
from probing.settings.run import EMBEDDED
from tests.benchmarks.architectures import draw_sentences
from tests.benchmarks.encoding import encode_as_usual, encode_ours
from tests.benchmarks.fitters import encode_task, fit_ours, fit_sklearn
from tests.benchmarks.sizes import draw_tasks, draw_texts
from tests.benchmarks.timing import spread

NARROW = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    }
}
"""Environment in which other libraries take no wider instructions than an engine's either."""
_ROUNDS, _UNSORTED, _BATCH = 3, 32, 128
_SENTENCES, _ROWS, _PRODUCTS = 200, 4096, 20
_EVERY_TEST = 5
"""Training sentences for each of dev and of test."""


def main(
    treebank: Path | None = None,
    engines: tuple[str, ...] = (),
    fits: tuple[str, ...] = (),
    sentences: int = 4000,
    here: bool = False,
) -> None:
    """Print a line for each comparison of each engine.

    Args:
        treebank: file in CoNLL-U whose sentences are encoded too; none: the controlled corpus alone.
        engines: those to time; none: all that are worth using here.
        fits: tasks that probes are fitted on, in the place of encoding.
        sentences: training sentences of each.
        here: time the only engine in this process.
    """
    dtypes = dict(load_kernels().list_engines())
    chosen = engines or tuple(name for name in dtypes if not name.startswith("scalar"))
    if not here:
        for engine in chosen:
            own = [*sys.argv[1:], "--engines", engine, "--here"]
            command = [sys.executable, "-m", "tests.benchmarks.engines", *own]
            subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"} | NARROW.get(engine, {}))
        return
    torch.set_num_threads(1)
    if fits:
        time_fits(chosen[0], fits, sentences)
        return
    with force(chosen[0]):
        texts = {"controlled sentences": draw_texts(_SENTENCES)}
        if treebank:
            texts["real sentences"] = draw_sentences(treebank)
        for kind, some in texts.items():
            time_encoding(chosen[0], dtypes[chosen[0]], kind, some)


def force(engine: str) -> ExitStack:
    """Let encoders and probes take one engine, whatever others there are, while the context is open."""
    stack = ExitStack()
    stack.enter_context(patch("probing.encoders.placement.find_engine", lambda numbers: engine))
    stack.enter_context(patch("probing.probes.fused.choose_engine", lambda: engine))
    return stack


def time_encoding(engine: str, dtype: str, kind: str, texts: Sequence[Text]) -> None:
    """One line for each way, and one for the share of the plain product's rate, the best of as many rounds."""
    encoder, found = build(EMBEDDED, device="cpu", dtype=dtype, backend="fused"), find_checkpoint(EMBEDDED)
    model, tokenizer = load_model(found).eval(), load_tokenizer(found)
    plain = build(EMBEDDED, device="cpu", dtype=dtype, backend="torch")
    usual = partial(encode_as_usual, model, tokenizer)  # pyright: ignore
    ways = {
        "ours": partial(encode_ours, encoder, texts),
        "ours by way of torch": partial(encode_ours, plain, texts),
        "unsorted batches of 32, float32": lambda: [
            usual(texts[at : at + _UNSORTED]) for at in range(0, len(texts), _UNSORTED)
        ],
        "bench's loop, float32": partial(usual, texts),
    }
    seconds, rates = compare(ways), [measure_product(encoder.hidden_size, dtype) for _ in range(_PRODUCTS)]
    print_ratios(f"{engine}, {dtype}, {len(texts)} {kind}", seconds)
    rate = count_operations(encoder, tokenise(encoder, texts).lengths) / min(seconds["ours"])
    share = f"{rate / 1e9:.0f} of {max(rates) / 1e9:.0f} GFLOP/s"
    print(f"  share of a plain product's rate: {rate / max(rates):.0%} ({share})", flush=True)


def measure_product(width: int, dtype: str) -> float:
    """Operations per processor second of tokens x width times width x 4 width, the largest product of a block."""
    tokens, weights = (torch.randn(shape).to(getattr(torch, dtype)) for shape in ((_ROWS, width), (width, 4 * width)))
    product = tokens @ weights
    begun = time.process_time()
    torch.mm(tokens, weights, out=product)
    return 2 * _ROWS * width * 4 * width / (time.process_time() - begun)


def time_fits(engine: str, names: Sequence[str], n: int) -> None:
    """One line for each task: scikit-learn's seconds of a layer over ours."""
    encoder = build(EMBEDDED, device="cpu")
    few = max(1, n // _EVERY_TEST)
    for task in draw_tasks(names, {"train": n, "dev": few, "test": few}):
        data, n_layers = encode_task(task, encoder), len(encoder.layer_names)
        one = data.select_layers([n_layers // 2])
        with force(engine):
            ways = {"ours": partial(fit_ours, data), "scikit-learn": partial(fit_sklearn, one)}
            seconds = compare(ways, warms_up=False)
        per_layer = {"ours": seconds["ours"] / n_layers, "scikit-learn": seconds["scikit-learn"]}
        print_ratios(f"{engine}, probes of {task.spec.title}, {n:,} sentences, {len(task.classes)} classes", per_layer)


def compare(ways: dict[str, Callable[[], Any]], warms_up: bool = True) -> dict[str, np.ndarray]:
    """Processor seconds of each way, round by round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(_ROUNDS + warms_up):
        for name, work in ways.items():
            begun = time.process_time()
            work()
            if number or not warms_up:
                seconds[name].append(time.process_time() - begun)
    return {name: np.array(taken) for name, taken in seconds.items()}


def print_ratios(title: str, seconds: dict[str, np.ndarray]) -> None:
    """How many times as long as ours each other way took: median and quartiles."""
    print(f"{title}: ours {np.median(seconds['ours']):.3f} s")
    for name, taken in seconds.items():
        if name != "ours":
            ratio = spread(taken / seconds["ours"])
            print(f"  {name}: {ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]", flush=True)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
