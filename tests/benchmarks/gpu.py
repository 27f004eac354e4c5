"""An accelerator beside the CPU in one script of at most ten minutes: encoding, probes, the mix, memory, equality.

`python -m tests.benchmarks.gpu` takes what `--device auto` takes. It prints, for each shape of encoder, sentences per
second and the share of the card's measured matrix rate; for probes and the mix, seconds beside scikit-learn's or the
CPU's, and the largest difference of their dev scores. Where there is no accelerator it compares the CPU with itself,
and says so.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from resource import RUSAGE_SELF, getrusage
from typing import Any

import numpy as np
import torch
import tyro
from transformers import BertConfig, ModernBertConfig, PreTrainedConfig

from probing.encoders.checkpoints import find_checkpoint
from probing.encoders.placement import choose_device
from probing.encoders.transformer import TransformerEncoder
from probing.probes.linear import LinearProbe
from probing.probes.scalar_mix import ScalarMixProbe
from probing.representations.peak_rate import count_operations, measure_peak_rate
from probing.representations.shard_encoding import tokenise
from probing.settings.run import EMBEDDED
from tests.benchmarks.architectures import make_model
from tests.benchmarks.encoding import encode_ours, measure_cosines
from tests.benchmarks.fitters import Data, fit_sklearn
from tests.benchmarks.sizes import draw_texts

SHAPES: dict[str, PreTrainedConfig] = {
    "MiniLM, 6 x 384": BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
    "BERT-base, 12 x 768": BertConfig(),
    "BERT-large, 24 x 1024": BertConfig(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
    ),
    "ModernBERT-base, 22 x 768": ModernBertConfig(),
}
_CLASSES, _LAYERS, _HIDDEN = (2, 6, 20), 7, 384
_COMPARED = 64
"""Sentences whose vectors the CPU makes too, in float32."""


@dataclass(frozen=True)
class GpuSettings:
    """What is measured."""

    device: str = "auto"
    """As in run_senteval.py."""
    shapes: tuple[str, ...] = tuple(SHAPES)
    """Encoders, with random weights."""
    sentences: int = 20_000
    """Sentences that are encoded."""
    probed: int = 4000
    """Training sentences of the probes."""
    limit_s: float = 540.0
    """Seconds after which no further part begins; those left out are named."""


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each part, one part after the other while there is time.

    Returns:
        0; 1 where time left parts out.
    """
    settings, begun = tyro.cli(GpuSettings, description=__doc__, args=arguments), time.perf_counter()
    device, left_out = choose_device(settings.device), []
    print(name_device(device), flush=True)
    for name, measure in list_parts(settings, device):
        if time.perf_counter() - begun > settings.limit_s:
            left_out.append(name)
            continue
        print(f"{name}: {measure()}; memory {weigh(device):.2f} GiB", flush=True)
    if left_out:
        print(f"left out, for want of time: {', '.join(left_out)}", flush=True)
    return 1 if left_out else 0


def name_device(device: str) -> str:
    """The card's name, or that there is none."""
    if device == "cpu":
        return "no accelerator here: the CPU beside itself; nothing below is of a GPU"
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return f"{name}, torch {torch.__version__}"


def list_parts(settings: GpuSettings, device: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """Parts by their names."""
    for name in settings.shapes:
        yield f"encoding, {name}", partial(measure_encoding, SHAPES[name], settings.sentences, device)
    for classes in _CLASSES:
        yield f"probes, {classes} classes", partial(measure_probes, classes, settings.probed, device)
    yield "mix, 6 classes", partial(measure_mix, 6, settings.probed, device)


def measure_encoding(config: PreTrainedConfig, n: int, device: str) -> str:
    """Rate of encoding, all layers pooled, tokenising included; and how near vectors are to those of the CPU."""
    found, texts = find_checkpoint(EMBEDDED), draw_texts(n)  # of which the tokenizer is taken
    encoder = TransformerEncoder(make_model(config), found, device=device)
    exact = TransformerEncoder(make_model(config), found, device="cpu", dtype="float32", backend="torch")
    cosines = measure_cosines(*(encode_ours(one, texts[:_COMPARED]) for one in (encoder, exact)))
    seconds, _ = measure(partial(encode_ours, encoder, texts))
    operations = count_operations(encoder, tokenise(encoder, texts).lengths)
    peak = measure_peak_rate(encoder.hidden_size, encoder.dtype, device)
    share = (
        f"{operations / seconds / peak:.0%} of {peak / 1e12:.2f} TFLOP/s" if operations else "operations not counted"
    )
    near = f"1 - cosine with the CPU's float32, the worst: {1 - cosines.min():.1e}"
    return f"{encoder.dtype}, {encoder.backend}, {len(texts) / seconds:.0f} sentences/s, {share}, {near}"


def measure_probes(classes: int, n: int, device: str) -> str:
    """Seconds of all layers and strengths beside scikit-learn's, by layer; and equality with the CPU's."""
    data = draw_data(classes, n)
    fit = partial(fit_probe, LinearProbe, data)
    fit(device)
    seconds, ours = measure(partial(fit, device))
    sklearn_s, _ = measure(partial(fit_sklearn, data.select_layers([0])))
    apart = np.abs(ours.dev_scores_ - fit("cpu").dev_scores_).max()
    return f"{seconds:.2f} s, scikit-learn {sklearn_s * _LAYERS / seconds:.1f} times, dev scores apart by {apart:.4f}"


def measure_mix(classes: int, n: int, device: str) -> str:
    """Seconds of the mix beside the CPU's, and how far scores are apart."""
    fit = partial(fit_probe, ScalarMixProbe, draw_data(classes, n))
    fit(device)
    (seconds, ours), (cpu_s, other) = measure(partial(fit, device)), measure(partial(fit, "cpu"))
    apart = np.abs(ours.dev_scores_ - other.dev_scores_).max()
    return f"{seconds:.2f} s, the CPU {cpu_s / seconds:.1f} times, dev scores apart by {apart:.4f}"


def fit_probe(kind: type, data: Data, device: str) -> Any:
    """A probe on the first two parts of some data."""
    (X, X_dev, _), (y, y_dev, _) = data.vectors, data.labels
    return kind(device=device).fit(X, y, X_dev, y_dev)


def draw_data(classes: int, n: int) -> Data:
    """Vectors of correlated dimensions, whose labels a linear map of them decides, with noise; a fifth for dev."""
    generator = np.random.default_rng(0)
    turn = generator.standard_normal((_HIDDEN, _HIDDEN)).astype(np.float32) / _HIDDEN**0.5
    parts = []
    for size in (n, n // 5, n // 5):
        X = generator.standard_normal((_LAYERS, size, _HIDDEN)).astype(np.float32) @ turn
        noise = generator.standard_normal((size, classes)) / 2
        parts.append((X, (X[0, :, :classes] + noise).argmax(axis=1)))
    vectors, labels = zip(*parts, strict=True)
    return Data(vectors, labels)


def measure(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of some work, and its result; what it gives has left the accelerator."""
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def weigh(device: str) -> float:
    """GiB at most so far: of the card on CUDA, else of the process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**30
    return getrusage(RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    sys.exit(main())
