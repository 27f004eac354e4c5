"""The table of latencies adds up to a model's own time, and to no other's."""

import json

import pytest
import torch

from probing.encoders.nas_bert_model import NasBertConfig, NasBertModel
from probing.encoders.operations import read_blocks
from probing.records import InputError
from probing.training.evaluation.latency import build_entry, measure_table, prepare_pass, read_table, time_passes
from probing.training.transforms.block_space import Costs, list_entries

CONFIG = NasBertConfig(vocab_size=9, embedding_size=64, head_size=32, blocks=[["attention-64"]])
SHAPE = (8, 64)
FACTS = {"texts": 8, "tokens": 64, "head_size": 32}


class Body(torch.nn.Module):
    """All operations of a model, one after the other."""

    def __init__(self, blocks):
        super().__init__()
        config = CONFIG.to_dict() | {"blocks": blocks}
        self.operations = NasBertModel(NasBertConfig.from_dict(config)).operations

    def forward(self, states, mask):
        for operation in self.operations:
            states = operation(states, mask)
        return states


def test_every_entry_is_measured_and_takes_time():
    entries = list_entries((8, 16))
    assert len(entries) == 2 * 5 + 2
    small = NasBertConfig(vocab_size=9, embedding_size=8, head_size=8, blocks=[["attention-8"]])
    table = measure_table(small, entries, (2, 4), "cpu")
    assert list(table) == entries
    assert all(value > 0 for value in table.values())
    module, width = build_entry(small, "map-8-16")
    assert width == 8
    assert module(torch.zeros(1, 2, 8), None).shape == (1, 2, 16)


@pytest.mark.slow
def test_latencies_add_up_to_those_of_whole_models_within_what_they_vary_by():
    """The error is what two measurements of one model differ by, and a quarter. The control has twice the blocks."""
    blocks = [["attention-64", "convolution_5-64", "feed_forward-64"], ["convolution_7-128", "feed_forward-128"]]
    costs = Costs(measure_table(CONFIG, list_entries((64, 128)), SHAPE, "cpu"))
    compute = prepare_pass((Body(blocks), 64), SHAPE, "cpu")
    one, other = (1000 * second for second in time_passes([compute, compute]))
    error = 0.25 + abs(one - other) / one
    assert one / costs.latency(read_blocks(blocks)) == pytest.approx(1, abs=error)
    assert one / costs.latency(read_blocks([*blocks, *blocks])) < 1 - error / 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "has no milliseconds of attention-8"),
        ('{"attention-8": 1}', "has no milliseconds of feed_forward-8"),
        ('{"attention-8": -1}', "has no milliseconds of attention-8"),
        ('{"attention-8": "fast"}', "has no milliseconds of attention-8"),
        ('{"attention-8": Infinity}', "has no milliseconds of attention-8"),
        ('{"attention-8": true}', "has no milliseconds of attention-8"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_table_that_lacks_something_is_refused(text, message, tmp_path):
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_table(path, list_entries((8,)), FACTS)
    assert "\n" not in str(error.value)


def test_a_table_of_other_texts_is_refused_and_one_that_does_not_say_is_read(tmp_path):
    path, times = tmp_path / "table.json", dict.fromkeys(list_entries((8,)), 1.5)
    for facts in ({}, {"tokens": 64}, FACTS):
        path.write_text(json.dumps(times | facts))
        assert read_table(path, list_entries((8,)), FACTS) == times | facts
    path.write_text(json.dumps(times | FACTS | {"tokens": 16.0, "head_size": 4}))
    with pytest.raises(
        InputError, match=r"measured with tokens 16\.0 in place of 64, head_size 4 in place of 32; give"
    ):
        read_table(path, list_entries((8,)), FACTS)
