"""What a `TransformerEncoder` must hold to beside the contract, over every architecture that must load."""

import numpy as np
import pytest
import torch
from transformers import LEDConfig, LEDModel, PreTrainedTokenizerFast

from probing.encoders.checkpoint_tensors import is_pooler
from probing.encoders.checkpoints import find_checkpoint, load_tokenizer
from probing.encoders.limits import find_limit
from probing.encoders.model_facts import compute_digest
from probing.records import InputError
from probing.registry import ENCODERS
from tests.helpers import ARCHITECTURES, HIDDEN, LIMIT, N_LAYERS, WORDS, build_word_tokenizer, save_tokenizer

SENTENCES = (
    "ada sees the dog .",
    "ben",
    "cleo liked the cats today here now often here .",
    "dan knows a tree .",
    "eva saw dogs xyz",
    "",
    "😀 naïve",
    "ada saw " * 30,
    "dan knew a tree .",
)
TEXTS = tuple((sentence,) for sentence in SENTENCES)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
"""float32 has 6e-8; products over 8 to 16 numbers in another order, through two blocks with norms, lose some digits."""


FEW = ("bert", "roberta", "modernbert")
OPEN = [name for name in ENCODERS.own if not hasattr(ENCODERS.load(name), "architecture")]
"""Encoders that take more architectures than one of their own."""
PAIRS = [(name, one) for name in OPEN for one in (ARCHITECTURES if name == "bert" else FEW)]
"""`bert` over every architecture; the others, which share its code, over three."""


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request):
    return request.param


@pytest.fixture
def encoder_name(pair):
    return pair[0]


@pytest.fixture
def architecture(pair):
    return pair[1]


@pytest.fixture
def build(encoder_name, architecture, tiny_folders):
    """Function: the encoder over a tiny checkpoint, on the processor and in float32 unless told otherwise."""

    def build_encoder(checkpoint=None, **options):
        options = {"device": "cpu", "dtype": "float32"} | options
        return ENCODERS.load(encoder_name).build(str(checkpoint or tiny_folders(architecture)), **options)

    return build_encoder


@pytest.fixture(scope="session")
def built():
    return {}


@pytest.fixture
def encoder(build, built, encoder_name, architecture):
    """The encoder, shared by the tests that leave its weights alone."""
    if (encoder_name, architecture) not in built:
        built[encoder_name, architecture] = build()
    return built[encoder_name, architecture]


def states_of(encoder, texts, rows=None):
    tokens = encoder.tokenize(texts)
    return encoder.encode(tokens, np.arange(len(texts)) if rows is None else rows)


def alone(encoder, text):
    """Hidden states of a text that is encoded by itself: no batch mates, no padding."""
    return torch.stack(states_of(encoder, [text]).layers)[:, 0]


def test_gives_the_states_of_every_named_layer_in_the_declared_shape(encoder):
    states = states_of(encoder, TEXTS)
    longest = int(encoder.tokenize(TEXTS).lengths.max())
    assert {layer.shape for layer in states.layers} == {(len(TEXTS), longest, HIDDEN)}
    assert encoder.layer_names == ("embeddings", *(str(block + 1) for block in range(N_LAYERS)))
    assert encoder.hidden_size == HIDDEN
    assert states.mask.shape == states.special.shape == (len(TEXTS), longest)


def test_the_last_layer_is_what_the_model_gives_as_its_last(encoder):
    ids = torch.from_numpy(np.stack([encoder.tokenize(TEXTS[:1]).ids[0]]))
    last = encoder.model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(states_of(encoder, TEXTS[:1]).layers[-1], last, **CLOSE)


def test_layers_are_in_the_order_of_depth(build):
    """A change to the last block moves the last layer and no layer before it."""
    encoder = build()
    before = states_of(encoder, TEXTS[:1]).layers
    blocks = [name for name, _ in encoder.model.named_parameters() if ".1." in name and name.endswith("weight")]
    if not blocks:
        pytest.skip("the blocks of this architecture share their weights")
    parameters = dict(encoder.model.named_parameters())
    with torch.no_grad():
        for name in blocks:
            parameters[name].mul_(1.5)
    after = states_of(encoder, TEXTS[:1]).layers
    assert [torch.equal(one, other) for one, other in zip(before, after, strict=True)] == [True, True, False]


def test_first_and_last_token_of_every_text_are_special_and_its_words_are_not(encoder):
    for row, special in enumerate(encoder.tokenize(TEXTS).special):
        assert special[0]
        assert special[-1]
        assert not special[1:-1].any(), SENTENCES[row]


def test_an_empty_text_keeps_its_special_tokens_only(encoder):
    tokens = encoder.tokenize([("",)])
    assert tokens.lengths.tolist() == [2]
    assert tokens.special[0].all()
    assert bool(torch.isfinite(alone(encoder, ("",))).all())


def test_unknown_words_and_emoji_are_encoded_like_any(encoder):
    for text in (TEXTS[4], TEXTS[6]):
        tokens = encoder.tokenize([text])
        assert tokens.lengths[0] > 2
        assert not tokens.truncated[0]
        assert bool(torch.isfinite(alone(encoder, text)).all())


def test_an_over_long_text_loses_its_end_and_is_counted(encoder):
    tokens = encoder.tokenize(TEXTS)
    assert tokens.truncated.tolist() == [text is TEXTS[7] for text in TEXTS]
    assert tokens.lengths.max() == encoder.max_length
    longer = encoder.tokenize([("ada saw " * 31,)])
    assert np.array_equal(longer.ids[0], tokens.ids[7])
    assert np.array_equal(tokens.ids[7][1:4], encoder.tokenize([("ada saw ada",)]).ids[0][1:4])


def test_limit_is_the_longest_input_that_the_architecture_takes(encoder, architecture):
    """The limit itself goes through; with a table of positions, one more does not (two rows of RoBERTa's are idle)."""
    assert encoder.max_length == LIMIT
    ids = torch.from_numpy(encoder.tokenize([TEXTS[7]]).ids[0])[None]
    assert bool(torch.isfinite(encoder.model(input_ids=ids).last_hidden_state).all())
    if architecture != "modernbert":  # rotary positions: no table
        with pytest.raises((IndexError, RuntimeError)):
            encoder.model(input_ids=torch.cat([ids[:, :1], ids], dim=1))


def test_a_text_of_just_the_limit_is_not_counted_as_cut(encoder):
    exact = encoder.tokenize([(" ".join(["ada"] * n),) for n in (LIMIT - 2, LIMIT - 1)])
    assert exact.lengths.tolist() == [LIMIT, LIMIT]
    assert exact.truncated.tolist() == [False, True]


def test_a_smaller_limit_can_be_asked_for_and_a_larger_one_is_not_taken(build):
    assert build(max_length=6).tokenize([TEXTS[2]]).lengths.tolist() == [6]
    assert build(max_length=600).max_length == LIMIT


def test_a_limit_without_room_for_a_word_is_refused(build):
    with pytest.raises(InputError, match="max-length"):
        build(max_length=2)


def test_a_pair_is_one_input_with_segments(encoder, architecture):
    tokens = encoder.tokenize([("ada sees dogs", "ben")])
    first, second = (encoder.tokenize([(segment,)]).ids[0] for segment in ("ada sees dogs", "ben"))
    middle = tokens.ids[0][len(first) :]
    if ARCHITECTURES[architecture][2] is not build_word_tokenizer:
        middle = middle[1:]  # RoBERTa's kind puts two marks between the segments
        assert not tokens.types[0].any()
    else:
        assert tokens.types[0].tolist() == [0] * len(first) + [1] * (len(second) - 1)
    assert tokens.ids[0][: len(first)].tolist() == first.tolist()
    assert middle.tolist() == second[1:].tolist()


def test_segments_reach_a_model_that_knows_them(encoder, architecture):
    tokens = encoder.tokenize([("ada sees dogs", "ben")])
    found = encoder.encode(tokens, np.arange(1)).layers[-1]
    inputs = {"input_ids": torch.from_numpy(tokens.ids[0])[None]}
    unsegmented = encoder.model(**inputs).last_hidden_state
    if architecture not in {"bert", "electra", "albert"}:
        torch.testing.assert_close(found, unsegmented, **CLOSE)
        return
    assert not torch.allclose(found, unsegmented, **CLOSE)
    inputs["token_type_ids"] = torch.from_numpy(tokens.types[0])[None]
    torch.testing.assert_close(found, encoder.model(**inputs).last_hidden_state, **CLOSE)


def test_an_over_long_pair_is_cut_and_counted(encoder):
    tokens = encoder.tokenize([("ada " * 20, "ben " * 20), ("ada", "ben")])
    assert tokens.lengths[0] == LIMIT
    assert tokens.truncated.tolist() == [True, False]


def test_no_parameter_requires_a_gradient_and_no_dropout_is_on(encoder):
    assert not encoder.model.training
    assert not any(parameter.requires_grad for parameter in encoder.model.parameters())
    assert not any(layer.requires_grad for layer in states_of(encoder, TEXTS[:2]).layers)


def test_saved_and_loaded_it_has_equal_states_and_an_equal_digest(encoder, encoder_name, architecture, build, tmp_path):
    if encoder_name == "untrained":
        pytest.skip("reads no weights")
    encoder.model.save_pretrained(tmp_path)
    save_tokenizer(tmp_path, architecture)
    again = build(tmp_path)
    assert again.digest == encoder.digest
    for one, other in zip(states_of(encoder, TEXTS).layers, states_of(again, TEXTS).layers, strict=True):
        assert torch.equal(one, other)


def test_digest_follows_every_weight_and_the_tokenizer(build, tiny_folders, architecture):
    encoder, checkpoint = build(), find_checkpoint(str(tiny_folders(architecture)))
    tokenizer = load_tokenizer(checkpoint)
    digests = {compute_digest(encoder.model, tokenizer)}
    assert digests == {encoder.digest}
    weights = [parameter for name, parameter in encoder.model.named_parameters() if not is_pooler(name)]
    for parameter in weights:
        with torch.no_grad():
            parameter.view(-1)[0] += 1e-3
        digests.add(compute_digest(encoder.model, tokenizer))
    other = PreTrainedTokenizerFast(tokenizer_object=build_word_tokenizer(tuple(reversed(WORDS)))[0])
    digests.add(compute_digest(encoder.model, other))
    assert len(digests) == 1 + len(weights) + 1


def test_digest_does_not_follow_number_format_limit_or_place(build):
    assert len({build().digest, build(dtype="bfloat16").digest, build(max_length=5).digest}) == 1


def test_an_encoders_own_limit_counts_where_a_decoder_has_another():
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "d_model": 8}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "attention_window": 4, "vocab_size": 40}
    positions = {"max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 32}
    backend, special = build_word_tokenizer()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    assert find_limit(LEDModel(LEDConfig(**sizes, **heads, **positions)), tokenizer) == 64
