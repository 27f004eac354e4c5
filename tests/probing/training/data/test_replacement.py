"""Sentences with replaced tokens: what stays as it was, and where new tokens come from."""

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM

from probing.encoders.c_bert_model import condition
from probing.encoders.checkpoints import find_checkpoint, load_config, load_tokenizer
from probing.encoders.tiny_checkpoints import build_word_pieces, disturb, write_bert
from probing.records import Split
from probing.training.data.replacement import Blanks, MaskedFill, Replacer, Sampling, find_readable, replace_spans
from probing.training.data.sentences import make_reading
from probing.training.data.synonyms import CandidateFill, find_neighbours
from probing.training.plan import Origin

WORDS = ("cat", "dog", "sees", "the", "play", "playing")
SENTENCES = ("The  cat sees the dog.", "a b c d e f", "dogx", "", "I play playing q", "The Dog, b!")
LABELS = np.array([0, 1, 0, 1, 0, 1])
ROWS = np.arange(len(SENTENCES))


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    write_bert(folder)
    pieces = build_word_pieces((*WORDS, ".", ",", "!", "[unused1]", "##ing"))
    checkpoint = find_checkpoint(str(folder))
    tokenizer = load_tokenizer(checkpoint)
    tokenizer._tokenizer = pieces
    return Origin(checkpoint, "", tokenizer, load_config(checkpoint), 16, ("embeddings", "1", "2"))


@pytest.fixture(scope="module")
def reading(origin):
    return make_reading(origin)


@pytest.fixture(scope="module")
def readable(origin, reading):
    return find_readable(origin.tokenizer, reading.marks)


@pytest.fixture(scope="module")
def masked_lm(origin):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = load_config(origin.checkpoint)
        config.vocab_size = len(origin.tokenizer.get_vocab())
        return disturb(BertForMaskedLM(config)).eval()


def split_of(labels=LABELS):
    return Split(tuple((text,) for text in SENTENCES), labels)


THREE = Sampling(3, 3)


def write(origin, reading, fill, sampling=THREE, labels=LABELS):
    return Replacer(split_of(labels), reading, origin.tokenizer, sampling, fill).write(ROWS)


def make_fill(model, reading, readable, temperature=1.0, labelled=False):
    fill = MaskedFill(model, reading.marks, readable, temperature)
    fill.labelled = labelled
    return fill


def test_rows_keep_their_label_and_number_of_tokens_and_provenance_puts_the_old_sentence_back(
    origin, reading, readable, masked_lm
):
    rows = write(origin, reading, make_fill(masked_lm, reading, readable))
    assert len(rows) > 10
    for row in rows:
        source, new = reading.inputs.tokenize([(SENTENCES[row.row],), row.text]).ids
        assert row.label == LABELS[row.row]
        assert len(source) == len(new)
        convert = origin.tokenizer.convert_ids_to_tokens
        assert convert(new[list(row.places)].tolist()) == list(row.new)
        back = new.copy()
        back[list(row.places)] = origin.tokenizer.convert_tokens_to_ids(list(row.old))
        np.testing.assert_array_equal(back, source)


def test_places_are_as_many_as_the_ratio_says_no_marks_and_none_twice(origin, reading, readable, masked_lm):
    rows = write(origin, reading, make_fill(masked_lm, reading, readable), Sampling(8, 3))
    for row in rows:
        [ids] = reading.inputs.tokenize([(SENTENCES[row.row],)]).ids
        assert len(row.places) == len(set(row.places)) == max((len(ids) - 2) // 3, 1)
        assert all(0 < place < len(ids) - 1 for place in row.places)
    assert len({row.places for row in rows if row.row == 1}) > 4  # eight draws of two places of six
    assert 3 not in {row.row for row in rows}  # the empty sentence has no place


def test_what_is_not_replaced_stays_to_the_letter(origin, reading):
    rows = write(origin, reading, lambda blanks: blanks.ids[blanks.hidden])
    assert {row.text[0] for row in rows} == set(SENTENCES) - {""}
    assert replace_spans("The  cat sees.", [((0, 3), "a"), ((9, 13), "eats")]) == "a  cat eats."


def test_two_ways_of_filling_get_the_same_places_and_noise(origin, reading):
    seen = []

    def look(blanks):
        seen.append((blanks.hidden, blanks.noise))
        return blanks.ids[blanks.hidden]

    for _ in range(2):
        write(origin, reading, look)
    half = len(seen) // 2
    for one, other in zip(seen[:half], seen[half:], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_the_label_changes_what_a_conditional_model_writes_and_an_unconditional_one_does_not_see_it(
    origin, reading, readable, masked_lm
):
    conditional = condition(masked_lm, ("no", "yes"), None, torch.Generator()).eval()
    written = {
        (labelled, flipped): [
            (row.row, row.copy, row.text)
            for row in write(
                origin, reading, make_fill(model, reading, readable, 0.3, labelled), Sampling(8, 2), labels
            )
        ]
        for labelled, model in ((True, conditional), (False, masked_lm))
        for flipped, labels in ((False, LABELS), (True, 1 - LABELS))
    }
    assert written[True, False] != written[True, True]
    assert written[False, False] == written[False, True]


def blanks_of(ids, places, noise):
    hidden = np.zeros_like(ids, dtype=bool)
    hidden[:, places] = True
    return Blanks(ids, np.full(len(ids), ids.shape[1]), hidden, np.zeros(len(ids), dtype=np.int64), noise)


def test_tokens_are_sampled_from_the_softmax_at_a_temperature(reading, readable, masked_lm, origin):
    [ids] = reading.inputs.tokenize([("a b c d e f",)]).ids
    n, allowed = 4000, readable & ~reading.marks.continues
    shown = torch.from_numpy(ids.copy())[None]
    shown[0, 3] = reading.marks.mask
    for temperature in (0.5, 2.0):
        with torch.no_grad():
            logits = masked_lm(shown).logits[0, 3].double().numpy() / temperature
        expected = np.where(allowed, np.exp(logits), 0)
        expected /= expected.sum()
        fill = make_fill(masked_lm, reading, readable, temperature)
        drawn = fill(blanks_of(np.repeat(ids[None], n, axis=0), [3], np.random.default_rng(0).random(n)))
        found = np.bincount(drawn, minlength=len(expected)) / n
        assert np.abs(found - expected).max() < 0.03  # four deviations of a share of 4,000


def test_no_mark_and_nothing_that_is_read_as_something_else_is_put_in(origin, reading, readable):
    tokens = origin.tokenizer.get_vocab()
    assert not readable[[tokens[mark] for mark in ("[CLS]", "[PAD]", "[MASK]", "[UNK]", "[unused1]")]].any()
    assert readable[[tokens[word] for word in ("cat", "##ing", "a", ".")]].all()


def test_a_text_whose_pieces_become_another_token_is_left_out(origin, reading):
    vocabulary = origin.tokenizer.get_vocab()

    def fill(blanks):
        old = blanks.ids[blanks.hidden]
        return np.where(old == vocabulary["##x"], vocabulary["##ing"], vocabulary["play"])

    rows = Replacer(split_of(), reading, origin.tokenizer, Sampling(1, 1), fill).write(np.array([2]))
    assert rows == []  # dog ##x -> play ##ing, which is read as one token: playing


def test_neighbours_are_the_nearest_by_cosine_of_the_same_kind(reading, readable):
    vectors = np.random.default_rng(0).normal(size=(len(readable), 5))
    candidates = find_neighbours(torch.from_numpy(vectors), reading.marks, readable)
    token = int(np.flatnonzero(readable & ~reading.marks.continues)[4])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = np.where(readable & ~reading.marks.continues, unit @ unit[token], -np.inf)
    likeness[token] = -np.inf
    assert candidates(token).tolist() == sorted(np.argsort(-likeness)[:10].tolist())


def test_one_of_the_candidates_is_drawn_by_the_noise_and_a_token_without_any_stays():
    choices = {5: np.array([7, 8, 9, 10]), 6: np.array([], dtype=np.int64)}
    fill = CandidateFill(lambda token: choices[token])
    ids = np.array([[2, 5, 6, 5, 3]])
    assert fill(blanks_of(ids, [1, 2, 3], np.array([0.0, 0.9, 0.76]))).tolist() == [7, 6, 10]
