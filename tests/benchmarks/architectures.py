"""Encoding by architecture: official shapes with random weights, through the kernels, torch, and the usual loop.

`python -m tests.benchmarks.architectures FILE.conllu` prints, for each architecture, how much processor time the other
ways take, as a share of the kernels' in the same number format.
"""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, DistilBertConfig, ElectraConfig, ModernBertConfig, MPNetConfig, PreTrainedConfig

from probing.encoders.checkpoints import find_checkpoint, load_tokenizer
from probing.encoders.lv_bert_model import LvBertConfig
from probing.encoders.transformer import TransformerEncoder
from probing.kernels import why_not
from probing.records import Text
from probing.settings.run import EMBEDDED
from tests.benchmarks.encoding import encode_as_usual, encode_ours
from tests.benchmarks.timing import spread

CONFIGS: dict[str, PreTrainedConfig] = {
    "DistilBERT-base": DistilBertConfig(),
    "ELECTRA-small": ElectraConfig(),
    "MPNet-base": MPNetConfig(),
    "ModernBERT-base": ModernBertConfig(),
    "LV-BERT-small": LvBertConfig(),
}
_SENTENCES, _ROUNDS = 200, 3


def draw_sentences(path: Path) -> list[Text]:
    """Sentences of a treebank, from all of it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    texts = [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]
    return [(texts[row],) for row in np.linspace(0, len(texts) - 1, _SENTENCES).astype(int)]


def list_ways(config: PreTrainedConfig) -> dict[str, Callable[[Sequence[Text]], Any]]:
    """What is compared; each with a model of its own, since an encoder converts the one that it is given."""
    found = find_checkpoint(EMBEDDED)  # of which the tokenizer is taken
    tokenizer = load_tokenizer(found)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    ways = {}
    for dtype in (dtype for dtype in ("float32", "bfloat16") if not why_not(dtype)):
        for backend in ("fused", "torch"):
            encoder = TransformerEncoder(make_model(config), found, device="cpu", dtype=dtype, backend=backend)
            ways[f"{backend} {dtype}"] = partial(encode_ours, encoder)
    return ways | {"usual loop float32": partial(encode_as_usual, make_model(config), tokenizer)}


def make_model(config: PreTrainedConfig) -> Any:
    """A model with random weights, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModel.from_config(config, dtype=torch.float32).eval()


def compare(config: PreTrainedConfig, texts: Sequence[Text]) -> dict[str, list[float]]:
    """Processor seconds of each way, round by round."""
    ways = list_ways(config)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(_ROUNDS + 1):
        for name, encode in ways.items():
            start = time.process_time()
            encode(texts if number else texts[:8])
            if number:  # the first one warms up
                seconds[name].append(time.process_time() - start)
    return seconds


def main(path: Path) -> None:
    """Print the comparison of each architecture."""
    texts = draw_sentences(path)
    for name, config in CONFIGS.items():
        seconds = {way: np.array(taken) for way, taken in compare(config, texts).items()}
        for ours in (way for way in seconds if way.startswith("fused")):
            for way, taken in seconds.items():
                ratio = spread(taken / seconds[ours])
                print(f"{name}, {way} / {ours}: {ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]")
        print(f"{name}: " + ", ".join(f"{way} {np.median(taken):.2f} s" for way, taken in seconds.items()), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
