"""The cache: a first run, which encodes, and a second one, which reads what the first has kept."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import numpy as np
from jaxtyping import Float

from probing.contracts.encoder import Encoder
from probing.encoders.bert import build
from probing.records import Text
from probing.representations.extraction import extract_stack
from probing.representations.pooling import Pooling
from probing.store.cache import StackCache
from tests.benchmarks.sizes import Sizes, draw_texts
from tests.benchmarks.timing import Comparison, Way, compare

FIRST, SECOND = "first run: encodes and keeps", "second run: reads"


def compare_cache(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """From sentences to vectors in memory, from files that the system has in memory still."""
    encoder, texts = build(checkpoint, device="cpu"), draw_texts(sizes.cached)
    with TemporaryDirectory() as name:
        folders: list[Path] = []

        def run_first() -> np.ndarray:
            folders.append(Path(name) / uuid4().hex)
            return read_vectors(encoder, texts, folders[-1])

        ways = [
            Way(FIRST, run_first, len(texts)),
            Way(SECOND, lambda: read_vectors(encoder, texts, folders[-1]), len(texts)),
        ]
        comparison = compare("cache", "sentences", ways, sizes.rounds, reference=SECOND)
    first, second = (comparison.results[name] for name in (FIRST, SECOND))
    rate = second.nbytes / np.median(comparison.seconds[SECOND]) / 1e9
    comparison.facts |= {"the same vectors": bool((first == second).all()), "GB/s read": float(rate)}
    return [comparison]


def read_vectors(encoder: Encoder, texts: Sequence[Text], folder: Path) -> Float[np.ndarray, "layers sentences hidden"]:
    """All layers of all sentences, by way of the cache."""
    stack = extract_stack(encoder, texts, Pooling(), StackCache(folder)).stack
    return stack.select(range(len(encoder.layer_names)), np.arange(len(texts)))
