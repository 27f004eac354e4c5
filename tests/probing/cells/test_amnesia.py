"""Erasure inside the encoder: what the theory says must hold, and planted encoders whose answer is known."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from transformers import BertForMaskedLM, BertForSequenceClassification

from probing.cells import amnesic_states
from probing.cells.amnesia import draw_sample, measure_amnesia
from probing.cells.amnesic_heads import _ask
from probing.cells.amnesic_states import BY_WORD, PROPERTY, RANDOM, Sentences, encode_erased, fit_for_task, locate_task
from probing.cells.encoding import list_texts
from probing.cells.runner import identify_inputs
from probing.contracts.encoder import HiddenStates, Tokens
from probing.contracts.measure import Cell, Encoded
from probing.encoders.bert import build
from probing.encoders.block_outputs import BlockOutputs
from probing.encoders.stored_heads import find_classifier_head, find_masked_head
from probing.pipeline import run
from probing.progress import Reporter
from probing.records import SPLITS, InputError, LayerStack, Split, Task, TaskSpec
from probing.representations.pooling import Pooling
from probing.settings.run import RunSettings
from probing.tasks.relabelling import label_by_word
from tests.helpers import build_config, build_task, save_tokenizer, write_task

pytestmark = pytest.mark.usefixtures("one_thread")
LAYERS = range(3)
WIDTH = 24
"""Of the planted encoder: a random direction hardly meets one of four."""


@pytest.fixture(scope="module")
def encoder(tiny_folder):
    return build(str(tiny_folder), dtype="float32", device="cpu")


def read(encoder, task, pooling):
    return Sentences(encoder, encoder.tokenize(list_texts(task)), pooling)


def spread_of_means(stack, task, layer):
    """How far the pooled class means lie apart, in deviations."""
    rows, labels = locate_task(task)["train"], task.splits["train"].labels
    vectors = stack.select([layer], rows)[0].astype(float)
    means = np.stack([vectors[labels == label].mean(axis=0) for label in np.unique(labels)])
    return np.ptp(means, axis=0).max() / (vectors.std(axis=0).max() or 1)


@pytest.mark.parametrize("pooling", [Pooling("mean"), Pooling("mean", special_tokens=False), Pooling("cls")], ids=str)
@pytest.mark.parametrize("layer", LAYERS)
def test_with_pooling_shares_as_weights_the_pooled_vectors_are_guarded_too(encoder, pooling, layer):
    """Labels are of length: sentences of all classes differ in their number of tokens."""
    task = build_task("sentence_length", n=(200, 20, 20))
    sentences = read(encoder, task, pooling)
    erasers = fit_for_task(sentences, task, LAYERS, 0)
    plain, erased = encode_erased(sentences, {layer: erasers[PROPERTY][layer]})
    if (pooling.name, layer) != ("cls", 0):  # the embedding of [CLS] is the same in every sentence
        assert spread_of_means(plain, task, layer) > 0.1
    assert spread_of_means(erased[layer], task, layer) < 1e-4


def test_without_those_weights_they_are_not(encoder, monkeypatch):
    monkeypatch.setattr(amnesic_states, "share_tokens", lambda states, pool, **options: states.mask.float())
    task = build_task("sentence_length", n=(200, 20, 20))
    sentences = read(encoder, task, Pooling())
    erasers = fit_for_task(sentences, task, LAYERS, 0)
    _, erased = encode_erased(sentences, {1: erasers[PROPERTY][1]})
    assert spread_of_means(erased[1], task, 1) > 0.01


@pytest.mark.parametrize("control", [PROPERTY, RANDOM, BY_WORD])
def test_at_the_last_block_it_is_the_erasure_of_the_frozen_pooled_vectors(encoder, control):
    task = build_task()
    sentences = read(encoder, task, Pooling())
    eraser = fit_for_task(sentences, task, [2], 0)[control][2]
    plain, erased = encode_erased(sentences, {2: eraser})
    every = np.arange(len(list_texts(task)))
    frozen = eraser(plain.select([2], every)[0].astype(float))
    np.testing.assert_allclose(erased[2].select([2], every)[0], frozen, atol=1e-5)


def test_token_covariance_with_the_labels_is_that_of_pooled_vectors(encoder):
    """By numpy, from the pooled vectors alone."""
    task = build_task("sentence_length", n=(100, 10, 10))
    sentences, rows = read(encoder, task, Pooling()), locate_task(task)["train"]
    labels = np.eye(len(task.classes))[task.splits["train"].labels]
    moments = amnesic_states.measure_tokens(sentences, rows, labels, [1])[1]
    plain, _ = encode_erased(sentences, {})
    pooled = plain.select([1], rows)[0].astype(float)
    expected = (pooled - pooled.mean(axis=0)).T @ labels / len(labels)
    np.testing.assert_allclose(moments.cross_covariance, expected, atol=1e-6)
    np.testing.assert_allclose(moments.mean, pooled.mean(axis=0), atol=1e-6)
    assert moments.weight == pytest.approx(len(labels))


def test_of_another_pooling_all_tokens_are_changed_as_little_as_of_the_mean(encoder):
    """Whitened by [CLS] alone, which hardly varies, the eraser would throw other tokens far about."""
    task = build_task("sentence_length", n=(200, 20, 20))
    changed = {}
    for name in ("mean", "cls"):
        sentences = read(encoder, task, Pooling(name))
        moments = fit_for_task(sentences, task, [1], 0)[PROPERTY][1]
        states = next(iter(encoder.encode_changed(sentences.tokens, np.arange(50), ())))
        tokens = states.layers[1][states.mask].numpy().astype(float)
        changed[name] = np.abs(moments(tokens) - tokens).max() / tokens.std()
    assert changed["cls"] < 2 * changed["mean"]


def test_controls_take_as_many_directions_or_those_of_their_labels(encoder):
    task = build_task("sentence_length", n=(200, 20, 20))
    erasers = fit_for_task(read(encoder, task, Pooling()), task, [1], 0)
    ranks = {control: by_layer[1].rank for control, by_layer in erasers.items()}
    words = len(label_by_word(task, 0).classes)
    assert ranks == {PROPERTY: len(task.classes) - 1, RANDOM: len(task.classes) - 1, BY_WORD: words - 1}


class Reads(nn.Module):
    """A block that passes on what one function makes of its states."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, states):
        return self.function(states)


class Planted(nn.Module):
    """Blocks on states [a, b, p, pa, noise] of all tokens, where a and b are the properties and p is a random sign."""

    def __init__(self, second):
        super().__init__()
        self.embeddings = nn.Embedding(1, 1)
        self.layers = nn.ModuleList([Reads(lambda states: 2 * states), Reads(second)])
        self.config = type("Config", (), {"num_hidden_layers": 2})
        self.base_model = self

    def forward(self, states):
        found = [states]
        for block in self.layers:
            found.append(block(found[-1]))
        return found


class PlantedEncoder:
    """An encoder of texts that spell their features."""

    checkpoint, revision, digest, dtype, device, backend = "planted", "", "0", "float32", "cpu", "torch"
    layer_names, hidden_sizes, hidden_size = ("embeddings", "1", "2"), (WIDTH,) * 3, WIDTH
    max_length, mixes_layers = 16, False

    def __init__(self, second):
        self.model = Planted(second)

    def tokenize(self, texts):
        ids = tuple(np.array([int(word) for word in text[0].split()]) for text in texts)
        none = tuple(np.zeros(len(row), dtype=bool) for row in ids)
        return Tokens(ids, tuple(np.zeros_like(row) for row in ids), none, np.zeros(len(ids), dtype=bool))

    def encode(self, tokens, rows):
        length = max(len(tokens.ids[row]) for row in rows)
        states, mask = torch.zeros(len(rows), length, WIDTH), torch.zeros(len(rows), length, dtype=torch.bool)
        for place, row in enumerate(rows):
            ids = tokens.ids[row]
            a, b, p = (1 - 2 * ((ids[0] >> bit) & 1) for bit in range(3))
            noise = np.random.default_rng(int(ids[0])).normal(size=(len(ids), WIDTH - 4))
            own = np.column_stack([np.tile([a, b, p, p * a], (len(ids), 1)), noise])
            states[place, : len(ids)], mask[place, : len(ids)] = torch.from_numpy(own), True
        return HiddenStates(tuple(self.model(states)), mask, torch.zeros_like(mask))

    def find_change_obstacle(self):
        return ""

    def encode_changed(self, tokens, rows, changes):
        outputs = BlockOutputs(self.model)
        with outputs.record() as recorded:
            plain = self.encode(tokens, rows)
        yield plain
        for layer, change in changes:
            with outputs.change(recorded, layer, change):
                found = self.encode(tokens, rows).layers
            layers = (*plain.layers[:layer], change(plain.layers[layer]), *found[layer + 1 :])
            yield HiddenStates(layers, plain.mask, plain.special)


def plant_task(bit):
    """Texts of several lengths, whose first number spells a, b and p in its last bits."""
    rng = np.random.default_rng(0)
    numbers = rng.permutation(2**12)[:600]
    texts = [(" ".join(map(str, [number, *([0] * int(rng.integers(0, 4)))])),) for number in numbers]
    labels, splits = (numbers >> bit) & 1, {}
    for split, (start, stop) in zip(SPLITS, [(0, 300), (300, 400), (400, 600)], strict=True):
        splits[split] = Split(tuple(texts[start:stop]), labels[start:stop])
    return Task(TaskSpec("ab"[bit], "AB"[bit], "own"), ("no", "yes"), splits)


def keep(direction):
    """A block that reads one direction, and nothing else."""
    return lambda states: torch.stack([states[..., direction]] * WIDTH, dim=-1)


def measure_planted(second, bit):
    """Loss of accuracy by block and layer, of the property and beyond what the random directions lose."""
    encoder, task = PlantedEncoder(second), plant_task(bit)
    stack = LayerStack(np.empty((3, 0, WIDTH), dtype=np.float32), encoder.layer_names, "mean")
    settings = RunSettings(checkpoint="planted")
    rows = measure_amnesia(Cell(task, "layer"), Encoded(encoder, list(LAYERS), stack, {}), settings).amnesia
    frame = pd.DataFrame([vars(row) for row in rows])
    own = frame[frame["control"] == PROPERTY]
    return {against: part.set_index(["block", "layer"])["value"] for against, part in own.groupby("against")}


def test_a_block_that_reads_the_erased_direction_alone_has_the_property_no_more():
    lost = measure_planted(keep(0), 0)
    assert lost[""][-1, 2] == 1.0
    for block in LAYERS:
        assert lost["nothing"][block, 2] > 0.35
    for block in (0, 1):  # at 2 there is one direction, which any subspace takes
        assert lost["random_subspace"][block, 2] > 0.35


def test_a_block_that_makes_it_of_what_no_linear_map_sees_has_it_again():
    lost = measure_planted(lambda states: torch.stack([states[..., 2] * states[..., 3]] * WIDTH, dim=-1), 0)
    for block in (0, 1):
        assert lost["nothing"][block, block] > 0.35
        assert lost["nothing"][block, 2] == 0
    assert lost["nothing"][2, 2] > 0.35


def test_a_property_that_a_later_block_does_not_read_is_not_missed_there():
    """The second block reads a alone: of b it has nothing to lose, though the layers below have b."""
    lost = measure_planted(keep(0), 1)
    assert lost[""][-1, 1] == 1.0
    assert lost[""][-1, 2] < 0.65
    assert abs(lost["nothing"][1, 2]) < 0.1
    assert lost["nothing"][1, 1] > 0.35


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """A masked language model and a classifier of one tiny encoder each, with their tokenizers."""
    folders = {}
    torch.manual_seed(0)
    for name, kind in {"masked": BertForMaskedLM, "classifier": BertForSequenceClassification}.items():
        model = kind(build_config("bert", id2label={0: "PAST", 1: "PRES"}))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        folders[name] = tmp_path_factory.mktemp(name)
        model.save_pretrained(folders[name])
        save_tokenizer(folders[name])
    return folders


def give_mask(folder):
    """The tests' tokenizer does not say which token its mask is."""
    path = folder / "tokenizer_config.json"
    path.write_text(path.read_text().replace('"cls_token"', '"mask_token": "[MASK]",\n  "cls_token"', 1))


def test_a_masked_head_reads_what_the_last_block_has_become(heads):
    folder, task = heads["masked"], build_task()
    give_mask(folder)
    head = find_masked_head(build(str(folder), dtype="float32", device="cpu"), str(folder), 0)
    sentences = Sentences(head.encoder, head.encoder.tokenize(list_texts(task)), Pooling())
    erasers = fit_for_task(sentences, task, LAYERS, 0)
    asked = _ask(head, sentences.tokens, task)
    plain, found = asked.answer({PROPERTY: erasers[PROPERTY]})
    eraser = erasers[PROPERTY][2]
    with torch.inference_mode():
        for row in range(5):
            ids, places = torch.from_numpy(asked.tokens.ids[row])[None], asked.places[row]
            assert (ids[0, places] == head.mask).all()
            states = head.model.bert(input_ids=ids).last_hidden_state
            for own, values in ((states, plain), (torch.from_numpy(eraser(states.numpy())), found[2][PROPERTY])):
                log_probs = head.model.cls(own)[0, places].log_softmax(dim=-1).numpy()
                bits = -log_probs[np.arange(len(places)), asked.wanted[row]] / np.log(2)
                assert values["bits_per_token"][row] == pytest.approx(bits.mean(), rel=1e-4)


def test_a_classifier_that_knows_the_tasks_classes_is_asked_and_no_other(heads):
    folder, task = heads["classifier"], build_task()
    encoder = build(str(folder), dtype="float32", device="cpu")
    assert find_classifier_head(encoder, str(folder), ("NN", "NNS"), 0) is None
    assert find_masked_head(encoder, str(folder), 0) is None
    head = find_classifier_head(encoder, str(folder), task.classes, 0)
    sentences = Sentences(head.encoder, head.encoder.tokenize(list_texts(task)), Pooling())
    erasers = fit_for_task(sentences, task, LAYERS, 0)
    plain, found = _ask(head, sentences.tokens, task).answer({PROPERTY: erasers[PROPERTY]})
    tokens, rows = sentences.tokens, locate_task(task)["test"]
    with torch.inference_mode():
        for place, row in enumerate(rows):
            states = head.model.bert(input_ids=torch.from_numpy(tokens.ids[row])[None]).last_hidden_state
            for own, values in (
                (states, plain),
                (torch.from_numpy(erasers[PROPERTY][2](states.numpy())), found[2][PROPERTY]),
            ):
                logits = head.model.classifier(head.model.bert.pooler(own))
                assert values["accuracy"][place] == (int(logits.argmax()) == task.splits["test"].labels[place])


def test_a_cross_validated_task_has_its_first_fold():
    whole = build_task(n=(200, 20, 20)).splits["train"]
    task = replace(build_task(), splits=dict.fromkeys(SPLITS, whole), folds=10)
    sample = draw_sample(task, 50)
    assert sample.folds == 0
    assert [len(sample.splits[split]) for split in SPLITS] == [50, 20, 20]
    texts = [set(sample.splits[split].texts) for split in SPLITS]
    assert not texts[0] & texts[1]
    assert not (texts[0] | texts[1]) & texts[2]


@pytest.fixture
def settings(tiny_folder, tmp_path):
    for name in ("past_present", "obj_number"):
        write_task(tmp_path, build_task(name))
    return RunSettings(
        model="bert", checkpoint=str(tiny_folder), data=str(tmp_path), controls=(), measures=("amnesia",), gradients=0,
        dtype="float32", device="cpu", threads=1, quiet=True, output=tmp_path / "run", cache_dir=tmp_path / "cache",
    )  # fmt: skip


def test_an_encoder_that_cannot_is_refused_in_one_line(settings, tiny_folders):
    with pytest.raises(InputError, match="--measures amnesia: not of this encoder: AlbertModel"):
        run(replace(settings, checkpoint=str(tiny_folders("albert"))), Reporter(quiet=True))


@pytest.mark.slow
def test_a_run_that_was_broken_off_has_the_same_numbers(settings):
    folder = run(settings, Reporter(quiet=True)).folder
    whole = pd.read_parquet(folder / "amnesia.parquet")
    assert set(whole["task"]) == {"past_present", "obj_number"}
    (folder / "cells" / "obj_number.layer.none.0.amnesia.safetensors").unlink()
    (folder / "amnesia.parquet").unlink()
    kept = (folder / "cells" / "past_present.layer.none.0.amnesia.safetensors").stat().st_mtime_ns
    run(settings, Reporter(quiet=True))
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "amnesia.parquet"), whole)
    assert (folder / "cells" / "past_present.layer.none.0.amnesia.safetensors").stat().st_mtime_ns == kept
    shutil.rmtree(folder)
    run(settings, Reporter(quiet=True))
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "amnesia.parquet"), whole)


def test_a_changed_head_makes_another_cell_of_amnesia_and_of_nothing_else(heads):
    folder, task = heads["classifier"], build_task()
    settings = RunSettings(checkpoint=str(folder), measures=("amnesia",))
    model = BertForSequenceClassification.from_pretrained(folder)

    def identify():
        encoder = build(str(folder), dtype="float32", device="cpu")
        encoded = Encoded(
            encoder, (0, 1, 2), LayerStack(np.zeros((3, 1, 8), np.float32), encoder.layer_names, "mean"), {}
        )
        return [identify_inputs(Cell(task, "layer", measure=name), encoded, settings) for name in ("amnesia", "scores")]

    before = identify()
    with torch.no_grad():
        model.classifier.weight.neg_()
    model.save_pretrained(folder)
    after = identify()
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True]
