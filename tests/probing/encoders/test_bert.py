"""The embedded encoder on real sentences: what its number format does, and that its layers are its own."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from probing.encoders.bert import build
from probing.representations.extraction import extract_stack
from probing.representations.pooling import Pooling
from probing.settings.run import EMBEDDED
from probing.store.cache import StackCache
from tests.helpers import draw_sentences

CORPUS = Path(os.environ.get("PROBING_CORPORA", "/nowhere")) / "classification" / "TREC" / "test.tsv"
WRITTEN = (
    "The quick brown fox jumps over the lazy dog.",
    "Although it had rained all night, the committee decided to hold the ceremony outside.",
    "No.",
    "Who wrote the letters that were found in the attic of the house by the sea?",
    "1984 was, in Orwell's telling, a year of cabbage, razor blades and telescreens.",
    "",
)


@pytest.fixture(scope="module")
def texts():
    real = CORPUS.read_text(encoding="utf-8").splitlines()[1:201] if CORPUS.is_file() else []
    made = draw_sentences(40, np.random.default_rng(0))
    return [(text,) for text in dict.fromkeys([*WRITTEN, *(line.split("\t")[0] for line in real), *made])]


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_bfloat16_turns_no_pooled_vector_of_any_layer_by_more_than_its_tolerance(pooling, texts, tmp_path):
    """Cosine to float32 above 0.999 for every sentence and layer."""
    stacks = {}
    for dtype in ("float32", "bfloat16"):
        encoder = build(EMBEDDED, device="cpu", dtype=dtype)
        stacks[dtype] = extract_stack(encoder, texts, Pooling(pooling), StackCache(tmp_path)).stack.values.astype(float)
    fine, coarse = stacks["float32"], stacks["bfloat16"]
    assert not np.array_equal(fine, coarse)
    cosine = (fine * coarse).sum(axis=2) / np.linalg.norm(fine, axis=2) / np.linalg.norm(coarse, axis=2)
    assert cosine.shape == (7, len(texts))
    assert cosine.min() > 0.999, cosine.min(axis=1)


@pytest.mark.slow
def test_its_mean_pooled_last_layer_puts_like_sentences_together(tmp_path):
    """What it was trained for: a check that tokenizer, weights and pooling belong together."""
    texts = [("A man is playing a guitar.",), ("Someone plays guitar.",), ("The stock market fell sharply today.",)]
    encoder = build(EMBEDDED, device="cpu", dtype="float32")
    last = extract_stack(encoder, texts, Pooling(), StackCache(tmp_path)).stack.values[-1]
    unit = torch.nn.functional.normalize(torch.from_numpy(last), dim=1)
    alike, unlike = float(unit[0] @ unit[1]), float(unit[0] @ unit[2])
    assert alike > 0.7
    assert unlike < 0.2
    assert (len(encoder.layer_names), encoder.hidden_size, encoder.max_length) == (7, 384, 512)
