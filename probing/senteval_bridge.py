"""Our encoders under the original SentEval engine: `prepare` and `batcher` as it calls them.

    from senteval.engine import SE                       # facebookresearch/SentEval, installed by hand
    bridge = SentEvalBridge(encoder, layer=-1)           # or weights=read_weights("data/results/...")
    results = SE(params, bridge.batcher, bridge.prepare).eval(["Depth", "Tense"])

The engine hands over all sentences of a task once (`prepare`) and then asks for them batch by batch (`batcher`), as
lists of words. They are encoded in `prepare`, once and cached; `batcher` looks them up.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from probing.catalogue.tasks import find_specs
from probing.contracts.encoder import Encoder
from probing.encoders.checkpoint_check import check_encoder
from probing.encoders.unknown_words import describe_unknown_texts
from probing.progress import Reporter
from probing.records import InputError, Text
from probing.representations.extraction import extract_stack
from probing.representations.pooling import Pooling
from probing.store.cache import StackCache

LayerWeights = Mapping[int, float]
"""Layer -> its weight in the mix, after softmax."""


class SentEvalBridge:
    """One layer of an encoder, or the mix of its layers, as SentEval's engine takes it.

    Args:
        encoder: frozen.
        layer: index of the layer, -1 for the last; without effect where weights are given.
        weights: of a mix: by layer, or by task and layer as `read_weights` gives them. None reads a single layer.
        pooling: how tokens become one vector.
        cache_dir: where encoded sentences are kept.
        reporter: who shows warnings.

    Raises:
        InputError: the encoder has no such layer, or cannot be believed.
    """

    def __init__(
        self,
        encoder: Encoder,
        layer: int = -1,
        weights: LayerWeights | Mapping[str, LayerWeights] | None = None,
        pooling: Pooling | None = None,
        cache_dir: Path = Path("data/cache"),
        reporter: Reporter | None = None,
    ):
        self.encoder, self.layer, self.weights = encoder, layer, weights
        self._reporter, n_layers = reporter or Reporter(quiet=True), len(encoder.layer_names)
        if not -n_layers <= layer < n_layers:
            raise InputError(f"layer {layer}: the encoder has layers 0 to {n_layers - 1}")
        for line in check_encoder(encoder, pooling.name if pooling else "mean").warnings:
            self._reporter.warn(line)
        self.pooling, self.cache = pooling or Pooling(), StackCache(cache_dir)
        self._rows: dict[Text, int] = {}
        self._vectors: Float[np.ndarray, "sentences hidden"] = np.empty((0, encoder.hidden_size), np.float32)

    def prepare(self, params: Any, samples: Sequence[Sequence[str]]) -> None:
        """Encode all sentences of a task.

        Args:
            params: the engine's; `current_task` says which mix to take, where there is one for every task.
            samples: sentences as lists of words.
        """
        texts = list(dict.fromkeys(map(join_words, samples)))
        for line in describe_unknown_texts(self.encoder, self.encoder.checkpoint, "SentEval's sentences", texts):
            self._reporter.warn(line)
        stack = extract_stack(self.encoder, texts, self.pooling, self.cache).stack.values
        self._rows = {text: row for row, text in enumerate(texts)}
        self._vectors = self._read(stack, params)

    def batcher(self, params: Any, batch: Sequence[Sequence[str]]) -> Float[np.ndarray, "sentences hidden"]:
        """The vectors of some sentences, in their order; sentences that `prepare` never saw are encoded now."""
        texts = [join_words(words) for words in batch]
        if any(text not in self._rows for text in texts):
            self.prepare(params, [*([text[0]] for text in self._rows), *batch])
        return self._vectors[[self._rows[text] for text in texts]]

    def _read(self, stack: Float[np.ndarray, "layers sentences hidden"], params: Any) -> np.ndarray:
        if self.weights is None:
            return stack[self.layer]
        weights = choose_weights(self.weights, params)
        return np.tensordot(list(weights.values()), stack[list(weights)], axes=1).astype(np.float32)


def join_words(words: Sequence[str]) -> Text:
    """A sentence from its words; an empty one becomes a full stop, as in SentEval's own examples."""
    return (" ".join(words) or ".",)


def choose_weights(weights: LayerWeights | Mapping[str, LayerWeights], params: Any) -> LayerWeights:
    """The weights of the engine's present task.

    Raises:
        InputError: there is no mix for it.
    """
    by_task = {str(task): mix for task, mix in weights.items() if isinstance(mix, Mapping)}
    if not by_task:
        return {int(layer): float(weight) for layer, weight in weights.items() if not isinstance(weight, Mapping)}
    (spec,) = find_specs([params["current_task"]])
    if spec.name not in by_task:
        raise InputError(f"no mix for task {spec.name}; there are mixes for {', '.join(by_task)}")
    return by_task[spec.name]


def read_weights(folder: Path | str) -> dict[str, dict[int, float]]:
    """The mixes that a run has learned: task -> layer -> weight, averaged over seeds, without those of controls.

    Raises:
        InputError: they are of vectors that were brought to mean 0 and variance 1 first, which the engine's are not.
    """
    settings = Path(folder) / "settings.json"
    if settings.is_file() and json.loads(settings.read_text(encoding="utf-8")).get("mix_norm"):
        raise InputError(f"{folder}: its mixes are of normed vectors; expected a run without --mix-norm")
    table = pd.read_parquet(Path(folder) / "layer_weights.parquet")
    means = table[table["control"] == "none"].groupby(["task", "layer"])["weight"].mean()
    mixes: dict[str, dict[int, float]] = {}
    for (task, layer), weight in means.to_dict().items():  # pyright: ignore[reportGeneralTypeIssues]
        mixes.setdefault(str(task), {})[int(layer)] = float(weight)
    return mixes
