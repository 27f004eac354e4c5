"""Hidden tokens of labelled sentences."""

import numpy as np
import pytest

from probing.encoders.checkpoints import find_checkpoint, load_config, load_tokenizer
from probing.encoders.tiny_checkpoints import write_bert
from probing.records import Split
from probing.training.data.masking import Masking
from probing.training.data.sentences import MaskedSentences, hold_sentences, make_reading
from probing.training.plan import Origin

SENTENCES = ("a b c d e f", "g h", "i j k l m n o p q r", "", "s t u v", "a b c d e f")
LABELS = np.array([0, 2, 1, 0, 2, 1])


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    checkpoint = find_checkpoint(write_bert(tmp_path_factory.mktemp("encoder")))
    tokenizer, config = load_tokenizer(checkpoint), load_config(checkpoint)
    return make_reading(Origin(checkpoint, "", tokenizer, config, 16, ("embeddings", "1", "2")))


@pytest.fixture(scope="module")
def sentences(reading):
    return reading.tokenize(Split(tuple((text,) for text in SENTENCES), LABELS))


def make(sentences, reading, labelled=True, seed=0, size=3):
    return MaskedSentences(sentences, reading, Masking(0.3), labelled=labelled, size=size, seed=seed)


def test_masks_are_drawn_anew_in_every_step_and_never_at_marks(sentences, reading):
    data = make(sentences, reading, size=6)
    seen = []
    for step in range(40):
        batch = data.batch(step)
        assert not reading.marks.special[batch.original[batch.hidden]].any()
        order = np.argsort([row.tobytes() for row in batch.original])
        seen.append(batch.hidden[order].tobytes())
        # As many as the share says, never twice at one place; of the empty sentence, none.
        n_ordinary = (~reading.marks.special[batch.original]).sum(axis=1)
        wanted = np.where(n_ordinary > 0, np.maximum(1, np.rint(0.3 * n_ordinary)), 0)
        assert batch.hidden.sum(axis=1).tolist() == wanted.tolist()
    assert len(set(seen)) == 40


def test_sentences_of_one_length_have_masks_of_their_own(sentences, reading):
    pairs = 0
    for step in range(40):
        batch = make(sentences, reading, size=6).batch(step)
        alike = np.flatnonzero(batch.lengths == 8)
        pairs += int((batch.hidden[alike[0]] != batch.hidden[alike[1]]).any())
    assert pairs > 30


def test_every_place_is_hidden_about_as_often(sentences, reading):
    data, counts = make(sentences, reading, size=6), np.zeros(10)
    for step in range(400):
        batch = data.batch(step)
        counts += batch.hidden[batch.lengths == 12][0, 1:11]
    # 3 of 10 places in 400 draws: a binomial's deviation is 9.
    assert np.abs(counts - 120).max() < 40


def test_each_epoch_has_every_sentence_once_and_a_step_is_the_same_whenever_it_is_asked_for(sentences, reading):
    data = make(sentences, reading, size=4)
    assert data.n_steps_per_epoch == 2
    lengths = sorted(length for step in (0, 1) for length in data.batch(step).lengths)
    assert lengths == sorted(sentences.tokens.lengths)
    again = make(sentences, reading, size=4)
    again.batch(7)
    np.testing.assert_array_equal(again.batch(1).shown, data.batch(1).shown)


def test_a_label_stands_at_every_token_of_its_sentence_and_only_where_it_is_given(sentences, reading):
    for labelled in (True, False):
        batch = hold_sentences(sentences, "dev", reading, Masking(0.3), labelled=labelled)
        found = batch.collate(np.array([1, 2, 4]), "cpu")
        assert ("token_type_ids" in found.inputs) == labelled
        if labelled:
            types = found.inputs["token_type_ids"].numpy()
            np.testing.assert_array_equal(types, np.repeat(LABELS[[1, 2, 4]][:, None], types.shape[1], axis=1))
        assert found.inputs["attention_mask"].sum(dim=1).tolist() == [4, 12, 6]
        flat = found.original.flatten()
        np.testing.assert_array_equal(flat[found.places], found.labels)


def test_what_is_held_out_is_hidden_alike_whatever_the_model(sentences, reading):
    one, other = (
        hold_sentences(sentences, "dev", reading, Masking(0.3), labelled=labelled) for labelled in (True, False)
    )
    np.testing.assert_array_equal(one.shown, other.shown)
    test = hold_sentences(sentences, "test", reading, Masking(0.3), labelled=True)
    assert (one.hidden != test.hidden).any()
