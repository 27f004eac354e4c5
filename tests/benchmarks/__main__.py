"""Encoding, side by side in one run: ours against the usual loop (float32, batches of 128 padded to the longest)."""

import time

import numpy as np
import torch

from probing.encoders.bert import build
from probing.encoders.checkpoints import find_checkpoint, load_model, load_tokenizer
from probing.representations.extraction import Pooling, encode_in_shards
from probing.settings import EMBEDDED
from probing.tasks.controlled import load

REPEATS = 5
N_SENTENCES = 1000


def encode_ours(encoder, texts):
    """All layers, pooled on the fly."""
    tokens = encoder.tokenize(texts)
    return list(encode_in_shards(encoder, tokens, Pooling(), lambda done: None))


@torch.inference_mode()
def encode_as_usual(model, tokenizer, texts):
    """All layers, mean-pooled under the mask."""
    for start in range(0, len(texts), 128):
        batch = tokenizer([text for (text,) in texts[start : start + 128]], padding=True, return_tensors="pt")
        mask = batch["attention_mask"].unsqueeze(-1)
        for states in model(**batch, output_hidden_states=True).hidden_states:
            (states * mask).sum(1) / mask.sum(1)


def measure(run):
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main():
    """Print the median ratio and its quartiles."""
    texts = load(("sentence_length",))["sentence_length"].splits["dev"].texts[:N_SENTENCES]
    found = find_checkpoint(EMBEDDED)
    encoder, model, tokenizer = build(EMBEDDED, device="cpu"), load_model(found).eval(), load_tokenizer(found)
    runs = (lambda: encode_as_usual(model, tokenizer, texts), lambda: encode_ours(encoder, texts))
    for run in runs:
        run()
    seconds = np.array([[measure(run) for run in runs] for _ in range(REPEATS)])
    low, middle, high = np.quantile(seconds[:, 0] / seconds[:, 1], [0.25, 0.5, 0.75])
    usual, ours = N_SENTENCES / np.median(seconds, axis=0)
    print(f"usual loop {usual:.0f}, ours ({encoder.dtype}) {ours:.0f} sentences/s")
    print(f"ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f}, {REPEATS} repeats, {N_SENTENCES} sentences)")


if __name__ == "__main__":
    main()
