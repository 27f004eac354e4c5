"""Paths of a supernet: uniform, of seed and step alone, scored as a model of its own is."""

from collections import Counter

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from probing.encoders.layer_patterns import build_pattern
from probing.encoders.lv_bert_heads import LvBertForMaskedLM
from probing.encoders.lv_bert_model import LvBertConfig
from probing.training.data.masking import Masking
from probing.training.data.running_text import hide
from probing.training.evaluation.masked import predict_hidden
from probing.training.evaluation.paths import PathAccuracy
from probing.training.transforms.pattern_space import PatternSpace, Sizes
from probing.training.transforms.supernet import PathSampling
from tests.helpers import extract_path

SMALL = {"vocab_size": 30, "embedding_size": 4, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16}
SPACE = PatternSpace(build_pattern("interleaved", 4), "parameters", Sizes(8, 2, 16))


def make(**changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LvBertForMaskedLM(LvBertConfig(**SMALL, layer_pattern=(1, 2, 1, 2), **changes)).eval()


def paths_of(seed, steps):
    model = make(supernet=True)
    sampling = PathSampling(SPACE, seed, (1, 2, 1, 2))
    sampling.apply(model)
    found = []
    for step in steps:
        sampling.before_step(step, 100)
        found.append(tuple(model.config.layer_pattern))
    sampling.finish(model)
    assert model.config.layer_pattern == [1, 2, 1, 2]
    return found


def test_a_path_depends_on_seed_and_step_alone():
    straight = paths_of(0, range(20))
    assert paths_of(0, [7, 7, 3]) == [straight[7], straight[7], straight[3]]
    assert paths_of(1, range(20)) != straight


def test_every_allowed_path_is_taken_as_often():
    """Half of four places are feed-forward, the others of two kinds: 6 x 4 paths, if a convolution is as large."""
    space = PatternSpace((1, 2, 1, 2), "counts", Sizes(8, 2, 16))
    model, sampling = make(supernet=True), PathSampling(space, 0, (1, 2, 1, 2))
    sampling.apply(model)
    counts = Counter()
    for step in range(600):
        sampling.before_step(step, 600)
        counts[tuple(model.config.layer_pattern)] += 1
    assert len(counts) == 6
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 20.5  # 0.1 % of chi-squared, 5 degrees


def test_a_plain_model_has_no_paths():
    with pytest.raises(TypeError, match="of a supernet only"):
        PathSampling(SPACE, 0, (1, 2, 1, 2)).apply(make())


def test_a_path_scores_what_the_plain_model_of_its_weights_scores():
    rng = np.random.default_rng(0)
    blocks = rng.integers(5, 30, size=(40, 16))
    special = np.zeros(30, dtype=bool)
    special[:5] = True
    marks = type("Marks", (), {"special": special, "ordinary": np.arange(5, 30), "mask": 4, "continues": special})()
    batch, accelerator = hide(blocks, Masking(), marks, rng), Accelerator(cpu=True, mixed_precision="no")
    supernet = make(supernet=True)
    score = PathAccuracy(supernet, batch, accelerator)
    for path in ((1, 2, 1, 2), (0, 2, 2, 1)):
        found = score(path)
        plain = LvBertForMaskedLM(LvBertConfig(**SMALL, layer_pattern=path)).eval()
        extract_path(supernet, plain)
        assert found == pytest.approx(predict_hidden(plain, batch, accelerator).right.mean())
