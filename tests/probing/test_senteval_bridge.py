import numpy as np
import pandas as pd
import pytest

from probing.encoders.bert import build
from probing.progress import Reporter
from probing.records import InputError
from probing.representations.extraction import extract_stack
from probing.representations.pooling import Pooling
from probing.senteval_bridge import SentEvalBridge, choose_weights, read_weights
from probing.store.cache import StackCache
from tests.helpers import build_task


@pytest.fixture(scope="module")
def encoder(tiny_folder):
    return build(str(tiny_folder), dtype="float32", device="cpu")


class Engine:
    """SentEval's calling convention: all sentences once, then sorted batches of lists of words."""

    def __init__(self, bridge, batch_size=7):
        self.bridge = bridge
        self.params = {"batch_size": batch_size, "current_task": "Tense"}

    def embed(self, samples):
        self.bridge.prepare(self.params, samples)
        order = sorted(range(len(samples)), key=lambda row: (len(samples[row]), samples[row]))
        size = self.params["batch_size"]
        batches = [[samples[row] for row in order[start : start + size]] for start in range(0, len(order), size)]
        vectors = np.vstack([self.bridge.batcher(self.params, batch) for batch in batches])
        return vectors[np.argsort(order)]


@pytest.fixture(scope="module")
def samples():
    return [text[0].split() for text in build_task().splits["train"].texts]


@pytest.fixture(scope="module")
def stack(encoder, samples, tmp_path_factory):
    texts = [(" ".join(words),) for words in samples]
    return extract_stack(encoder, texts, Pooling(), StackCache(tmp_path_factory.mktemp("cache"))).stack.values


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_the_engine_gets_the_vectors_of_the_layer(encoder, samples, stack, tmp_path, layer):
    found = Engine(SentEvalBridge(encoder, layer, cache_dir=tmp_path)).embed(samples)
    # Batches of other sentences, in float32.
    assert found == pytest.approx(stack[layer], abs=1e-5)


def test_the_engine_gets_the_mix(encoder, samples, stack, tmp_path):
    mixes = {"past_present": {1: 0.25, 2: 0.75}, "tree_depth": {1: 1.0}}
    found = Engine(SentEvalBridge(encoder, weights=mixes, cache_dir=tmp_path)).embed(samples)
    assert found == pytest.approx(0.25 * stack[1] + 0.75 * stack[2], abs=1e-5)
    same = Engine(SentEvalBridge(encoder, weights={1: 0.25, 2: 0.75}, cache_dir=tmp_path)).embed(samples)
    assert same == pytest.approx(found)


def test_a_sentence_that_was_not_prepared_is_encoded(encoder, samples, stack, tmp_path):
    bridge = SentEvalBridge(encoder, cache_dir=tmp_path)
    bridge.prepare({}, samples[:3])
    assert bridge.batcher({}, samples[2:5]) == pytest.approx(stack[-1][2:5], abs=1e-5)


def test_an_empty_sentence_is_a_full_stop(encoder, tmp_path):
    bridge = SentEvalBridge(encoder, cache_dir=tmp_path)
    empty, stop = bridge.batcher({}, [[], ["."]])
    assert (empty == stop).all()


def test_a_task_without_a_mix_is_named():
    with pytest.raises(InputError, match="no mix for task bigram_shift; there are mixes for tree_depth"):
        choose_weights({"tree_depth": {0: 1.0}}, {"current_task": "BigramShift"})


def test_weights_of_a_run_are_means_over_seeds_without_controls(tmp_path):
    rows = [
        ("tree_depth", "none", 0, 1, 0.2),
        ("tree_depth", "none", 1, 1, 0.4),
        ("tree_depth", "control_task", 0, 1, 1),
    ]
    columns = ["task", "control", "seed", "layer", "weight"]
    pd.DataFrame(rows, columns=columns).to_parquet(tmp_path / "layer_weights.parquet")
    assert read_weights(tmp_path) == {"tree_depth": {1: pytest.approx(0.3)}}
    (tmp_path / "settings.json").write_text('{"mix_norm": true}')
    with pytest.raises(InputError, match="its mixes are of normed vectors; expected a run without --mix-norm"):
        read_weights(tmp_path)


def test_a_layer_that_is_not_there_is_refused_and_unknown_words_are_told(encoder, tmp_path):
    with pytest.raises(InputError, match="layer 3: the encoder has layers 0 to 2"):
        SentEvalBridge(encoder, 3, cache_dir=tmp_path)
    reporter = Reporter(quiet=True)
    bridge = SentEvalBridge(encoder, cache_dir=tmp_path, reporter=reporter)
    bridge.prepare({}, [["ada", "saw", "a", "dog"]])
    assert reporter.warnings == []
    bridge.prepare({}, [["\u0441\u043b\u043e\u0432\u043e"]])
    assert "SentEval's sentences: 100% of its tokens are unknown" in reporter.warnings[0]
