"""Scaling of encoding: with the number of sentences, and with threads."""

from functools import partial

import torch

from probing.encoders.bert import build
from tests.benchmarks.encoding import encode_ours
from tests.benchmarks.sizes import Sizes, draw_texts
from tests.benchmarks.threads import format_threads, run_limited
from tests.benchmarks.timing import Comparison, Way, compare


def compare_scaling(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """Time per sentence, held against the fewest sentences; and one thread, held against all."""
    encoder = build(checkpoint, device="cpu")
    texts = draw_texts(min(sizes.growth))
    # The same sentences over and over: what a pass costs depends on how long they are, not on what they say.
    amounts = [texts * -(-n // len(texts)) for n in sizes.growth]
    few = partial(encode_ours, encoder, texts)
    ways = []
    for n, part in zip(sizes.growth, amounts, strict=True):
        rounds = sizes.dear_rounds if n == max(sizes.growth) else None
        ways.append(Way(f"{n:,} sentences", partial(encode_ours, encoder, part[:n]), n, few, most=rounds))
    growth = compare("encoding, by number of sentences", "sentences", ways, sizes.rounds)
    most, texts = torch.get_num_threads(), draw_texts(sizes.threaded)
    ways = [
        Way(format_threads(n), partial(run_limited, n, encode_ours, encoder, texts), len(texts))
        for n in sorted({most, 1}, reverse=True)
    ]
    return [growth, compare("encoding, by number of threads", "sentences", ways, sizes.rounds)]
