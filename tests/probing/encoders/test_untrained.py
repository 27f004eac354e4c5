import numpy as np
import pytest
import torch

from probing.encoders import bert, untrained
from probing.encoders.checkpoints import find_checkpoint
from probing.settings.run import EMBEDDED
from tests.helpers import build_word_tokenizer, save_encoder

OPTIONS = {"device": "cpu", "dtype": "float32"}
WIDE = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.05}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Wide enough for the spread and the correlation of a matrix to be told."""
    return str(save_encoder(tmp_path_factory.mktemp("wide"), **WIDE))


def matrices(encoder):
    return {name: p.clone() for name, p in encoder.model.named_parameters() if p.ndim == 2}


def correlate(one, other):
    return float(np.corrcoef(one.flatten(), other.flatten())[0, 1])


def test_every_weight_matrix_differs_from_the_checkpoint_and_is_uncorrelated_with_it(folder):
    stored, drawn = matrices(bert.build(folder, **OPTIONS)), matrices(untrained.build(folder, **OPTIONS))
    assert stored.keys() == drawn.keys()
    for name, matrix in drawn.items():
        assert not torch.equal(matrix, stored[name]), name
        # Under independence the correlation of n pairs has standard deviation 1 / sqrt(n); 5 of them.
        assert abs(correlate(matrix, stored[name])) < 5 / matrix.numel() ** 0.5, name


def test_a_copy_of_the_checkpoint_would_be_found_out(folder):
    """The control: the checkpoint is correlated with itself, whatever noise a faulty control may add."""
    for name, matrix in matrices(bert.build(folder, **OPTIONS)).items():
        noisy = matrix + matrix.std() * torch.randn(matrix.shape, generator=torch.Generator().manual_seed(0))
        assert correlate(noisy, matrix) > 5 / matrix.numel() ** 0.5, name


def test_weights_have_the_spread_of_the_architectures_own_initialisation(folder):
    for name, matrix in matrices(untrained.build(folder, **OPTIONS)).items():
        # The standard deviation of n normal draws is known to 1 / sqrt(2 n); 5 of them. One row is 0 (padding).
        n = matrix.numel()
        assert float(matrix.std()) == pytest.approx(0.05, rel=5 / (2 * n) ** 0.5 + 1 / len(matrix)), name
        assert abs(float(matrix.mean())) < 5 * 0.05 / n**0.5, name


def test_biases_and_norms_are_not_the_checkpoints(folder):
    vectors = {name: p for name, p in untrained.build(folder, **OPTIONS).model.named_parameters() if p.ndim == 1}
    for name, vector in vectors.items():
        assert set(vector.tolist()) == ({1.0} if name.endswith("LayerNorm.weight") else {0.0}), name


def test_no_two_matrices_are_copies_of_each_other(folder):
    drawn = list(matrices(untrained.build(folder, **OPTIONS)).values())
    same = [
        (one.shape, other.shape)
        for number, one in enumerate(drawn)
        for other in drawn[:number]
        if one.shape == other.shape and abs(correlate(one, other)) > 0.1
    ]
    assert same == []


def test_the_same_seed_draws_the_same_weights_and_another_seed_others(folder):
    one, again, other = (untrained.build(folder, seed=seed, **OPTIONS) for seed in (1, 1, 2))
    assert one.digest == again.digest != other.digest
    assert (one.revision, other.revision) == ("untrained-1", "untrained-2")
    for name, matrix in matrices(one).items():
        assert torch.equal(matrix, matrices(again)[name])
        assert abs(correlate(matrix, matrices(other)[name])) < 5 / matrix.numel() ** 0.5, name


def test_the_global_generators_stay_where_they_were(folder):
    state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    untrained.build(folder, **OPTIONS)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_global_seeds_do_not_move_it(folder):
    torch.manual_seed(1)
    one = untrained.build(folder, **OPTIONS).digest
    torch.manual_seed(2)
    assert untrained.build(folder, **OPTIONS).digest == one


def test_the_weights_of_the_checkpoint_are_not_even_read(folder, tmp_path):
    import shutil

    bare = shutil.copytree(folder, tmp_path / "bare")
    (bare / "model.safetensors").unlink()
    assert untrained.build(str(bare), **OPTIONS).digest == untrained.build(folder, **OPTIONS).digest


def test_tokenizer_is_the_checkpoints(folder):
    words = [("ada saw the dogs .",)]
    assert untrained.build(folder, **OPTIONS).tokenize(words).ids[0].tolist() == (
        build_word_tokenizer()[0].encode("ada saw the dogs .").ids
    )


@pytest.mark.slow
def test_the_embedded_encoder_untrained_has_none_of_its_weights():
    stored, drawn = (matrices(module.build(EMBEDDED, **OPTIONS)) for module in (bert, untrained))
    assert untrained.build(EMBEDDED, **OPTIONS).revision == "untrained-0"
    assert find_checkpoint(EMBEDDED).revision != "untrained-0"
    for name, matrix in drawn.items():
        assert abs(correlate(matrix, stored[name])) < 5 / matrix.numel() ** 0.5, name
        assert float(matrix.std()) == pytest.approx(0.02, rel=0.1), name
