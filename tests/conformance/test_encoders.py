"""What every encoder must hold to, whoever wrote it: see `probing.contracts.encoder`.

`pytest tests/conformance/test_encoders.py --encoder NAME` runs it on one encoder, such as one of an installed package.
"""

import numpy as np
import pytest
import torch

from probing.contracts.checking import find_breach
from probing.contracts.encoder import Encoder, EncoderModule
from probing.records import InputError
from probing.registry import ENCODERS
from tests.helpers import ARCHITECTURES

OVER_LONG = 3
SENTENCES = (
    "ada sees the dog .",
    "ben",
    "cleo liked the cats .",
    "ada saw " * 200,
    "dan knows a tree .",
    "ada knows a tree .",
    "",
    "😀 naïve",
)
TEXTS = tuple((sentence,) for sentence in SENTENCES)
ROWS = np.arange(len(TEXTS))
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
"""float32 has 6e-8; products of a tiny encoder in another order, through a few layers with norms, lose some digits."""


FEW = ("bert", "roberta", "modernbert")


def list_checkpoints(name):
    """An encoder over a tiny checkpoint of its own; ours over others too that they take, `bert` over all of them."""
    own_alone = name not in ENCODERS.own or hasattr(ENCODERS.load(name), "architecture")
    others = () if own_alone else ARCHITECTURES if name == "bert" else FEW
    return [(name, "own"), *((name, architecture) for architecture in others)]


def pytest_generate_tests(metafunc):
    if "build" in metafunc.fixturenames or "pair" in metafunc.fixturenames:
        one = metafunc.config.getoption("--encoder")
        pairs = [pair for name in ([one] if one else ENCODERS.names()) for pair in list_checkpoints(name)]
        metafunc.parametrize("pair", pairs, ids="-".join, scope="session")


@pytest.fixture(scope="session")
def name(pair):
    return pair[0]


@pytest.fixture(scope="session")
def build(pair, tmp_path_factory, tiny_folders):
    """Function: the encoder over its tiny checkpoint, on the processor and in float32 unless told otherwise."""
    name, architecture = pair
    module, own = ENCODERS.load(name), architecture == "own"
    checkpoint = module.tiny(tmp_path_factory.mktemp(name)) if own else str(tiny_folders(architecture))

    def build_encoder(**options):
        return module.build(checkpoint, **({"device": "cpu", "dtype": "float32"} | options))

    return build_encoder


@pytest.fixture(scope="session")
def encoder(build):
    return build()


def states_of(encoder, texts, rows=None):
    tokens = encoder.tokenize(texts)
    return encoder.encode(tokens, np.arange(len(texts)) if rows is None else rows)


def alone(encoder, text):
    """Hidden states of a text that is encoded by itself: no batch mates, no padding."""
    return torch.stack(states_of(encoder, [text]).layers)[:, 0]


def test_it_keeps_the_contract_as_a_module_and_when_it_is_built(name, encoder):
    assert find_breach(ENCODERS.load(name), EncoderModule) == ""
    assert find_breach(encoder, Encoder) == ""


def test_gives_the_states_of_every_named_layer_in_the_declared_shape(encoder):
    states, longest = states_of(encoder, TEXTS), int(encoder.tokenize(TEXTS).lengths.max())
    assert len(set(encoder.layer_names)) == len(encoder.layer_names) == len(states.layers)
    assert {layer.shape for layer in states.layers} == {(len(TEXTS), longest, encoder.hidden_size)}
    assert states.mask.shape == states.special.shape == (len(TEXTS), longest)


def test_narrow_layers_are_filled_up_with_zeros(encoder):
    assert len(encoder.hidden_sizes) == len(encoder.layer_names)
    assert max(encoder.hidden_sizes) == encoder.hidden_size
    for layer, size in zip(states_of(encoder, TEXTS[:1]).layers, encoder.hidden_sizes, strict=True):
        assert not bool(layer[..., size:].any())
        assert bool(layer[..., :size].any(dim=1).all())


def test_is_deterministic(encoder, build):
    states = [states_of(one, TEXTS).layers for one in (encoder, encoder, build())]
    for one, other, third in zip(*states, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)


def test_states_do_not_depend_on_batch_mates_or_padding(encoder):
    states = states_of(encoder, TEXTS)
    for row, text in enumerate(TEXTS):
        length = int(states.mask[row].sum())
        together = torch.stack(states.layers)[:, row, :length]
        torch.testing.assert_close(together, alone(encoder, text), **CLOSE)


def test_states_are_finite_at_padding_too(encoder):
    for layer in states_of(encoder, TEXTS).layers:
        assert bool(torch.isfinite(layer).all())


def test_states_do_depend_on_the_words(encoder):
    """The control of the invariances: one other word moves every layer by far more than the tolerance."""
    one, other = alone(encoder, TEXTS[4]), alone(encoder, TEXTS[5])
    assert one.shape == other.shape
    assert bool(((one - other).abs().amax(dim=(1, 2)) > 1e-2).all())


def test_no_two_layers_are_the_same(encoder):
    layers = alone(encoder, TEXTS[0])
    for number, layer in enumerate(layers):
        assert not any(torch.allclose(layer, other, **CLOSE) for other in layers[number + 1 :])


def test_embeddings_read_no_context(encoder):
    """A token's embedding is the same whatever another token of its text is; that of some layer above is not."""
    tokens = encoder.tokenize(TEXTS[4:6])
    same = tokens.ids[0] == tokens.ids[1]
    one, other = (alone(encoder, text)[:, same] for text in TEXTS[4:6])
    moved = (one - other).abs().amax(dim=(1, 2)) > CLOSE["atol"]
    assert bool(moved.any())
    for layer, name in enumerate(encoder.layer_names):
        assert not (name == "embeddings" and bool(moved[layer]))


def test_order_in_a_batch_only_orders_the_states(encoder):
    order = np.random.default_rng(0).permutation(len(TEXTS))
    tokens = encoder.tokenize(TEXTS)
    straight, shuffled = encoder.encode(tokens, ROWS), encoder.encode(tokens, order)
    assert torch.equal(shuffled.mask, straight.mask[order])
    assert torch.equal(shuffled.special, straight.special[order])
    for one, other in zip(straight.layers, shuffled.layers, strict=True):
        torch.testing.assert_close(other[straight.mask[order]], one[order][straight.mask[order]], **CLOSE)


def test_the_same_text_twice_has_the_same_states(encoder):
    for layer in states_of(encoder, [TEXTS[0], TEXTS[2], TEXTS[0]]).layers:
        torch.testing.assert_close(layer[0], layer[2], **CLOSE)


def test_tokens_are_not_changed_by_encoding(encoder):
    tokens = encoder.tokenize(TEXTS)
    before = [array.copy() for part in (tokens.ids, tokens.types, tokens.special) for array in part]
    encoder.encode(tokens, ROWS)
    after = [array for part in (tokens.ids, tokens.types, tokens.special) for array in part]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_mask_covers_the_tokens_of_each_text_and_nothing_else(encoder):
    tokens, states = encoder.tokenize(TEXTS), states_of(encoder, TEXTS)
    for row, length in enumerate(tokens.lengths):
        assert torch.equal(states.mask[row], torch.arange(states.mask.shape[1]) < int(length))
        assert torch.equal(states.special[row, : int(length)], torch.from_numpy(tokens.special[row]))
    assert not bool((states.special & ~states.mask).any())


def test_words_are_no_special_tokens(encoder):
    for row, special in enumerate(encoder.tokenize(TEXTS[:3]).special):
        assert (~special).any(), SENTENCES[row]


def test_an_empty_text_and_unknown_signs_have_states_too(encoder):
    for text in TEXTS[-2:]:
        tokens = encoder.tokenize([text])
        assert tokens.lengths[0] >= 1
        assert not tokens.truncated[0]


def test_an_over_long_text_loses_its_end_and_is_counted(encoder):
    tokens = encoder.tokenize(TEXTS)
    if max(map(len, SENTENCES)) > 2 * encoder.max_length:
        assert tokens.truncated[OVER_LONG]
    for row, length in enumerate(tokens.lengths):
        assert length == encoder.max_length or not tokens.truncated[row]
    longer = encoder.tokenize([(SENTENCES[OVER_LONG] * 2,)])
    if tokens.truncated[OVER_LONG]:
        assert np.array_equal(longer.ids[0], tokens.ids[OVER_LONG])


def test_a_smaller_limit_can_be_asked_for_and_a_larger_one_is_not_taken(encoder, build):
    cut = build(max_length=6).tokenize([TEXTS[2]])
    assert (cut.lengths.tolist(), cut.truncated.tolist()) == ([6], [True])
    assert build(max_length=10**9).max_length == encoder.max_length


def test_a_pair_is_one_input_and_both_its_segments_count(encoder):
    pairs = [("ada sees dogs", "ben"), ("ada sees dogs", "dan"), ("ada knew dogs", "ben")]
    states = [alone(encoder, pair)[-1] for pair in pairs]
    for other in states[1:]:
        assert other.shape != states[0].shape or not torch.allclose(other, states[0], **CLOSE)
    assert len(states[0]) > len(alone(encoder, pairs[0][:1])[-1])


def test_no_texts_are_no_tokens(encoder):
    assert encoder.tokenize([]).lengths.tolist() == []


def test_bfloat16_is_finite_and_near_float32_or_refused(encoder, build):
    try:
        rough = build(dtype="bfloat16")
    except InputError as error:
        pytest.skip(f"refused: {error}")
    fine, coarse = states_of(encoder, TEXTS), states_of(rough, TEXTS)
    for one, other in zip(fine.layers, coarse.layers, strict=True):
        assert other.dtype == torch.bfloat16
        # bfloat16 keeps 8 bits, 0.4 %, of every product; a few layers of them stay under 2 % of the length of a state.
        a, b = one[fine.mask], other[fine.mask].float()
        assert float(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0)) > 0.999


def test_states_ask_for_no_gradient(encoder):
    assert not any(layer.requires_grad for layer in states_of(encoder, TEXTS[:2]).layers)


def test_the_digest_follows_the_encoder_and_not_the_limit_on_its_input(encoder, build):
    assert build().digest == build(max_length=6).digest == encoder.digest
    assert len(encoder.digest) == 64
