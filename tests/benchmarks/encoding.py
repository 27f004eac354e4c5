"""Encoding: ours, the usual loop over a Hugging Face model, and sentence-transformers."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from probing.contracts.encoder import Encoder
from probing.encoders.bert import build
from probing.encoders.checkpoints import find_checkpoint, load_model, load_tokenizer
from probing.records import Text
from probing.representations.peak_rate import count_operations, measure_peak_rate
from probing.representations.pooling import Pooling
from probing.representations.shard_encoding import encode_in_shards, tokenise
from tests.benchmarks.sizes import WARM_UP, Sizes, draw_texts
from tests.benchmarks.timing import Comparison, Way, compare

_USUAL_BATCH = 128
"""SentEval's."""
BACKENDS = {"fused": "compiled kernels", "torch": "torch"}
"""What encodes, in plain words."""


def compare_encoding(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """All layers of all sentences, mean-pooled; sentence-transformers knows the last layer alone."""
    texts, found = draw_texts(sizes.encoded), find_checkpoint(checkpoint)
    few = texts[:WARM_UP]
    encoder, plain = (build(checkpoint, device="cpu", backend=backend) for backend in ("auto", "torch"))
    exact = build(checkpoint, device="cpu", dtype="float32")
    model, tokenizer = load_model(found).eval(), load_tokenizer(found)
    other = SentenceTransformer(str(found.folder), device="cpu")
    ours, usual = f"ours, {encoder.dtype}, {BACKENDS[encoder.backend]}", "usual Hugging Face loop, float32"
    encoders: dict[str, Callable[[Sequence[Text]], Any]] = {
        ours: partial(encode_ours, encoder),
        f"ours, {plain.dtype}, {BACKENDS['torch']}, were there no kernels": partial(encode_ours, plain),
        f"ours, float32, {BACKENDS[exact.backend]}, were there no bfloat16": partial(encode_ours, exact),
        usual: partial(encode_as_usual, model, tokenizer),
        "sentence-transformers, float32, last layer only": partial(encode_last, other),
    }
    if encoder.dtype == exact.dtype:
        del encoders[f"ours, float32, {BACKENDS[exact.backend]}, were there no bfloat16"]
    ways = [Way(name, partial(encode, texts), len(texts), partial(encode, few)) for name, encode in encoders.items()]
    title = f"encoding, {len(texts):,} sentences, all layers pooled"
    comparison = compare(title, "sentences", ways, sizes.rounds)
    cosines = measure_cosines(comparison.results[ours], comparison.results[usual])
    comparison.facts["1 - cosine of ours with the loop's vector, the worst of all"] = float(1 - cosines.min())
    comparison.facts |= rate(encoder, texts, float(np.median(comparison.seconds[ours])))
    return [comparison]


def encode_ours(encoder: Encoder, texts: Sequence[Text]) -> Float[np.ndarray, "layers sentences hidden"]:
    """As a run does, without the cache."""
    stack = np.empty((len(encoder.layer_names), len(texts), encoder.hidden_size), dtype=np.float32)
    for rows, values in encode_in_shards(encoder, tokenise(encoder, texts), Pooling(), lambda done: None):
        stack[:, rows] = values
    return stack


@torch.inference_mode()
def encode_as_usual(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[Text]
) -> Float[np.ndarray, "layers sentences hidden"]:
    """In batches of 128 by number of words, as SentEval makes them, each padded to its longest."""
    order = sorted(range(len(texts)), key=lambda row: len(texts[row][0].split()))
    pooled = []
    for start in range(0, len(order), _USUAL_BATCH):
        sentences = [texts[row][0] for row in order[start : start + _USUAL_BATCH]]
        batch = tokenizer(sentences, padding=True, truncation=True, return_tensors="pt")
        mask = batch["attention_mask"].unsqueeze(-1)  # pyright: ignore
        states = model(**batch, output_hidden_states=True).hidden_states
        pooled.append(torch.stack([(layer * mask).sum(1) / mask.sum(1) for layer in states]))
    return torch.cat(pooled, dim=1)[:, np.argsort(order)].numpy()


def encode_last(model: SentenceTransformer, texts: Sequence[Text]) -> Any:
    """As sentence-transformers does by default."""
    return model.encode([text for (text,) in texts], show_progress_bar=False)


def measure_cosines(
    one: Float[np.ndarray, "layers sentences hidden"], two: Float[np.ndarray, "layers sentences hidden"]
) -> Float[np.ndarray, "layers sentences"]:
    """Of each sentence's two vectors in each layer."""
    return (one * two).sum(-1) / (np.linalg.norm(one, axis=-1) * np.linalg.norm(two, axis=-1))


def rate(encoder: Encoder, texts: Sequence[Text], seconds: float) -> dict[str, float]:
    """Useful arithmetic per second, beside that of a plain product of the same width and number format."""
    operations = count_operations(encoder, tokenise(encoder, texts).lengths)
    # On a shared machine, one measurement may be half of another.
    peak_rate = max(measure_peak_rate(encoder.hidden_size, encoder.dtype, encoder.device) for _ in range(5))
    rates = {"useful GFLOP/s of ours": operations / seconds / 1e9, "GFLOP/s of a plain product": peak_rate / 1e9}
    return rates | {"share of a plain product's rate": operations / seconds / peak_rate}
