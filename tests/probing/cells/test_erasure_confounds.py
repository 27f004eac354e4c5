"""Erasure where the answer is built into the sentences: a confound of the controlled corpus, on and off."""

import json

import pytest

from probing.cells.encoding import TaskEncoder
from probing.cells.erasure import measure_erasure
from probing.contracts.measure import Cell
from probing.encoders.bermo import build
from probing.progress import Reporter
from probing.representations.extraction import Extractor
from probing.representations.pooling import Pooling
from probing.settings.run import EMBEDDED, RunSettings
from probing.store.cache import StackCache
from probing.tasks.controlled.corpus import load

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

SIZES = {"train": 1200, "dev": 300, "test": 600}
LAYER = 2
"""One where both properties are read well."""


def measure(folder, probed, erased, confounds):
    """What erasing a property does to the probe of another, on the embedded encoder."""
    tasks = load((probed, erased), sizes=SIZES, confounds=confounds)
    encoder = build(EMBEDDED, device="cpu")
    extractor = Extractor(encoder, Pooling(), StackCache(folder / "cache"))
    sentences = TaskEncoder(list(tasks.values()), extractor, [LAYER], Reporter(quiet=True), "encoding", lambda: encoder)
    encoded = {name: sentences.encode(task) for name, task in tasks.items()}
    scores = measure_erasure(Cell(tasks[probed], "layer"), encoded[probed], RunSettings(threads=1)).scores
    (found,) = (score for score in scores if (score.erased, score.metric) == (erased, "erasure"))
    controls = [score for score in scores if score.erased == erased and score.metric != "erasure"]
    return found, controls, json.loads(found.hyperparameters)


def test_depth_is_length_where_long_sentences_are_deep_and_only_there(tmp_path):
    """With `length_depth` on, the longer a sentence, the deeper its tree; off, the two have nothing to do."""
    on, controls, facts = measure(tmp_path, "tree_depth", "sentence_length", ["length_depth"])
    assert on.value < -0.06
    assert on.ci_high < min(control.value for control in controls)
    assert facts["p"] < 1e-3
    assert facts["p_random"] < 1e-3
    off, controls, _ = measure(tmp_path, "tree_depth", "sentence_length", [])
    assert off.value > -0.05
    assert off.value > on.value + 0.05
