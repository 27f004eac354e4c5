"""With `--protocol senteval_original`, accuracies are those of the original SentEval engine, to the last digit.

The engine was run once on these made cases, on a GPU, as it stands in its repository; what it said stands below.
"""

import hashlib

import numpy as np
import pytest

from probing.catalogue.tasks import find_specs
from probing.cells.fitting import fit_folds, order_as_published
from probing.contracts.measure import Cell, Encoded
from probing.records import LayerStack, Split
from probing.settings.run import RunSettings
from probing.tasks.files.senteval import read_task
from tests.probing.cells.test_folds import TinyEncoder

CASES = {
    # file stem, classes, sentences of train, dev, test, width, signal, seed
    "two_classes": ("past_present", 2, (1500, 300, 500), 48, 0.35, 1),
    "six_classes": ("sentence_length", 6, (1800, 300, 600), 48, 0.45, 2),
    "many_classes": ("word_content", 30, (1800, 300, 600), 48, 0.9, 3),
}
RECORDED = {
    # case, hidden units: accuracy on dev and on test in per cent, as the engine prints them
    ("two_classes", 0): ("96.00", "94.00"),
    ("two_classes", 50): ("96.67", "93.60"),
    ("six_classes", 0): ("95.67", "94.83"),
    ("six_classes", 50): ("96.67", "95.17"),
    ("many_classes", 0): ("100.00", "99.83"),
    # The engine gives this task no hidden layer, whatever is asked for.
    ("many_classes", 50): ("100.00", "99.83"),
}
CHECKSUMS = {"two_classes": "8e7b94c3a44abe0f", "six_classes": "f596d6c182bef73d", "many_classes": "f634a68de9a58a9a"}

pytestmark = pytest.mark.usefixtures("one_thread")


def make_case(name):
    """The lines of a task file, and the vector of each line's sentence."""
    _, n_classes, sizes, width, signal, seed = CASES[name]
    rng = np.random.RandomState(seed)
    centres = rng.standard_normal((n_classes, width))
    lines, vectors = [], []
    for split, size in zip(("tr", "va", "te"), sizes, strict=True):
        for number in range(size):
            label = int(rng.randint(n_classes))
            words = " ".join(f"w{rng.randint(500)}" for _ in range(rng.randint(3, 21)))
            lines.append(f"{split}\tc{label:02d}\t{split}{number} {words}")
            vectors.append(signal * centres[label] + rng.standard_normal(width))
    return lines, np.asarray(vectors, dtype=np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "n_hidden"), RECORDED)
def test_accuracies_on_dev_and_test_are_the_original_engines(case, n_hidden, tmp_path):
    lines, vectors = make_case(case)
    assert hashlib.sha256(vectors.tobytes()).hexdigest()[:16] == CHECKSUMS[case]
    stem, sizes = CASES[case][0], CASES[case][2]
    path = tmp_path / f"{stem}.txt"
    path.write_text("\n".join(lines) + "\n")
    task = read_task(path, find_specs([stem])[0])
    ends = np.cumsum(sizes)
    rows = {split: np.arange(end - size, end) for split, size, end in zip(task.splits, sizes, ends, strict=True)}
    encoded = Encoded(TinyEncoder(), [0], LayerStack(vectors[None], ("1",), "mean"), rows)
    settings = RunSettings(protocol="senteval_original", probe="mlp" if n_hidden else "linear")
    fit = fit_folds(Cell(task, "layer"), encoded, settings, [0])
    found = {}
    for split in ("dev", "test"):
        found[split] = 100 * (fit.read[split][0].argmax(axis=1) == task.splits[split].labels).mean()
    assert (f"{found['dev']:.2f}", f"{found['test']:.2f}") == RECORDED[case, n_hidden]


def test_training_sentences_go_by_words_then_by_class_and_equals_stay():
    texts = (("a b c",), ("a",), ("b a",), ("c",), ("d",), ("a  b",))
    train = Split(texts, np.array([0, 1, 1, 0, 1, 0]))
    assert order_as_published(train, np.arange(6)).tolist() == [3, 1, 4, 5, 2, 0]
    assert order_as_published(train, np.array([4, 2, 1])).tolist() == [4, 1, 2]


def test_pairs_go_by_the_words_of_their_first_segment_then_of_their_second():
    pairs = Split((("a b", "c"), ("a", "b c d"), ("a", "b"), ("c", "d")), np.array([0, 0, 1, 0]))
    assert order_as_published(pairs, np.arange(4)).tolist() == [3, 2, 1, 0]
