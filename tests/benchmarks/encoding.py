"""Encoding: ours, the usual loop over a Hugging Face model, and sentence-transformers."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from probing.encoders.bert import build
from probing.encoders.checkpoints import find_checkpoint, load_model, load_tokenizer
from probing.records import Text
from probing.representations.ceiling import count_operations, measure_ceiling
from probing.representations.extraction import Pooling, encode_in_shards, tokenise
from probing.states import Encoder
from tests.benchmarks.sizes import Sizes, draw_texts
from tests.benchmarks.timing import Comparison, Way, compare

_USUAL_BATCH = 128
"""SentEval's."""


def compare_encoding(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """All layers of all sentences, mean-pooled; sentence-transformers knows the last layer alone."""
    texts, found = draw_texts(sizes.encoded), find_checkpoint(checkpoint)
    encoder, plain = (build(checkpoint, device="cpu", backend=backend) for backend in ("auto", "torch"))
    exact = build(checkpoint, device="cpu", dtype="float32")
    model, tokenizer = load_model(found).eval(), load_tokenizer(found)
    other = SentenceTransformer(str(found.folder), device="cpu")
    ours, usual = f"ours, {encoder.dtype}, {encoder.backend}", "Hugging Face loop, float32"
    ways = [
        Way(ours, lambda: encode_ours(encoder, texts), len(texts)),
        Way(f"ours, {plain.dtype}, by way of torch", lambda: encode_ours(plain, texts), len(texts)),
        Way("ours, as if float32 were all", lambda: encode_ours(exact, texts), len(texts)),
        Way(usual, lambda: encode_as_usual(model, tokenizer, texts), len(texts)),
        Way(
            "sentence-transformers, last layer only",
            lambda: other.encode([text for (text,) in texts], show_progress_bar=False),
            len(texts),
        ),
    ]
    comparison = compare("encoding, all layers pooled", "sentences", ways, sizes.rounds)
    cosines = measure_cosines(comparison.results[ours], comparison.results[usual])
    comparison.facts["smallest cosine of ours with the loop's vector, over layers and sentences"] = float(cosines.min())
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


def measure_cosines(
    one: Float[np.ndarray, "layers sentences hidden"], two: Float[np.ndarray, "layers sentences hidden"]
) -> Float[np.ndarray, "layers sentences"]:
    """Of each sentence's two vectors in each layer."""
    return (one * two).sum(-1) / (np.linalg.norm(one, axis=-1) * np.linalg.norm(two, axis=-1))


def rate(encoder: Encoder, texts: Sequence[Text], seconds: float) -> dict[str, float]:
    """Useful arithmetic per second, beside that of a plain product of the same width and number format."""
    operations = count_operations(encoder, tokenise(encoder, texts).lengths)
    ceiling = measure_ceiling(encoder.hidden_size, encoder.dtype, encoder.device)
    rates = {"useful GFLOP/s of ours": operations / seconds / 1e9, "GFLOP/s of a plain product": ceiling / 1e9}
    return rates | {"share of a plain product's rate": operations / seconds / ceiling}
