import numpy as np
import pytest

from probing.encoders.bert import build
from probing.representations.peak_rate import count_operations, measure_peak_rate
from tests.helpers import HIDDEN, N_LAYERS, SIZES, save_encoder


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert"])
def test_operations_are_those_of_each_product_counted_by_hand(architecture, tmp_path):
    encoder = build(str(save_encoder(tmp_path, architecture)), device="cpu", dtype="float32")
    inner = SIZES["intermediate_size"]
    expected = 0
    for n in (3, 7):
        projections = 4 * (2 * n * HIDDEN * HIDDEN)  # queries, keys, values, output
        attention = 2 * (2 * n * n * HIDDEN)  # scores, and their use as weights
        feed_forward = 2 * (2 * n * HIDDEN * inner)
        expected += N_LAYERS * (projections + attention + feed_forward)
    assert count_operations(encoder, np.array([3, 7])) == expected
    assert count_operations(encoder, np.array([], dtype=int)) == 0


def test_of_an_architecture_that_shares_or_adds_products_nothing_is_said(tmp_path):
    encoder = build(str(save_encoder(tmp_path, "albert")), device="cpu", dtype="float32")
    assert count_operations(encoder, np.array([3, 7])) == 0
    assert count_operations(object(), np.array([3])) == 0


def test_a_measured_rate_is_one_that_a_processor_can_have():
    # From a slow core to ten times the fastest accelerators.
    assert 1e8 < measure_peak_rate(32, "float32", "cpu") < 1e17
