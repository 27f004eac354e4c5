"""Shrinking and selection do what brute force does on a space small enough for it; costs add up."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch

from probing.encoders.nas_bert_model import NasBertConfig, NasBertModel
from probing.encoders.operations import write_blocks
from probing.records import InputError
from probing.training.transforms import shrinking
from probing.training.transforms.block_space import Costs, Pools, count_choices, list_choices, list_entries
from probing.training.transforms.shrinking import (
    Amounts,
    Budget,
    Ledger,
    draw_sample,
    draw_within,
    explain_budget,
    find_bins,
    find_cells,
    find_extreme,
    select_paths,
    shrink,
)

WIDTHS = (4, 8)
CHOICES = list_choices(WIDTHS, 2)
TABLE = {name: 0.5 + number % 7 + 0.01 * number for number, name in enumerate(list_entries(WIDTHS))}
COSTS = Costs(TABLE)
AMOUNTS = Amounts(bins=2, latency_bins=3, sampled=100, kept=2)


def draw_losses(seed):
    values = np.random.default_rng(seed).random(len(CHOICES))
    return dict(zip(CHOICES, values.tolist(), strict=True))


def test_a_space_has_as_many_choices_as_the_paper_says():
    assert len(list_choices((128, 192, 256, 384, 512), 6)) == 97650
    assert len(list_choices((96, 192, 384), 4)) == 2340
    for widths, places in (((96, 192, 384), 4), ((8,), 1), ((4, 8), 3)):
        assert count_choices(widths, places) == len(list_choices(widths, places))
    assert len(set(CHOICES)) == len(CHOICES) == 2 * (5 + 25)


def latency_by_hand(path):
    kinds = ("attention", "feed_forward", "convolution_3", "convolution_5", "convolution_7")
    total, previous = 0.0, path[0][0]
    for width, *codes in path:
        total += 0 if width == previous else TABLE[f"map-{previous}-{width}"]
        total += sum(TABLE[f"{kinds[code]}-{width}"] for code in codes)
        previous = width
    return total


@pytest.mark.parametrize("path", [((4, 0, 1), (8, 2), (8, 3)), ((8, 1),), ((8, 4, 0), (4, 1, 1), (8, 0))], ids=str)
def test_costs_are_the_models_parameters_and_the_sum_of_the_table(path):
    with torch.device("meta"):
        sizes = {"vocab_size": 9, "embedding_size": 4, "head_size": 4}
        model = NasBertModel(NasBertConfig(**sizes, blocks=write_blocks(path)))
    assert COSTS.size(path) == sum(parameter.numel() for parameter in model.operations.parameters())
    assert COSTS.latency(path) == pytest.approx(latency_by_hand(path))
    ledger = Ledger([[choice] for choice in path], COSTS)
    [found] = ledger.add_up(np.zeros((1, len(path)), dtype=int))
    assert found.tolist() == pytest.approx([COSTS.size(path), COSTS.latency(path)])


def test_bins_are_a_constant_factor_apart():
    assert find_bins([1, 1.9, 2.1, 3.9, 4.1, 8], 3) == [0, 0, 1, 1, 2, 2]
    assert find_bins([5, 5, 5], 3) == [0, 0, 0]
    assert find_bins([1, 100], 1) == [0, 0]


def by_cell_by_hand(pool):
    def place(value, values, n):
        low, high = min(values), max(values)
        edges = [low * (high / low) ** (edge / n) for edge in range(1, n)]
        return sum(value >= edge * (1 - 1e-12) for edge in edges)

    sizes = [COSTS.size((one,)) for one in CHOICES]
    times = [latency_by_hand((one,)) for one in CHOICES]
    cells = {}
    for one in pool:
        cell = (place(COSTS.size((one,)), sizes, 2), place(latency_by_hand((one,)), times, 3))
        cells.setdefault(cell, []).append(one)
    return cells


def test_the_last_round_keeps_what_brute_force_keeps():
    """All are scored: of each cell the two with the least loss are left."""
    losses, cells = draw_losses(0), find_cells(CHOICES, COSTS, AMOUNTS)
    sample = draw_sample(CHOICES, cells, AMOUNTS, True, np.random.default_rng(0))
    assert sorted(sample) == sorted(CHOICES)
    left = shrink(CHOICES, cells, {one: losses[one] for one in sample}, AMOUNTS, True)
    expected = [one for own in by_cell_by_hand(CHOICES).values() for one in sorted(own, key=losses.get)[:2]]
    assert len(by_cell_by_hand(CHOICES)) > 3
    assert sorted(left) == sorted(expected)


def test_rounds_of_halving_keep_the_best_of_every_cell_that_brute_force_finds():
    losses, cells, pool = draw_losses(1), find_cells(CHOICES, COSTS, AMOUNTS), CHOICES
    sizes = [len(pool)]
    for number in range(4):
        last = number == 3
        sample = draw_sample(pool, cells, AMOUNTS, last, np.random.default_rng(number))
        pool = shrink(pool, cells, {one: losses[one] for one in sample}, AMOUNTS, last)
        sizes.append(len(pool))
    expected = [one for own in by_cell_by_hand(CHOICES).values() for one in sorted(own, key=losses.get)[:2]]
    assert sorted(pool) == sorted(expected)
    assert sizes[0] > sizes[1] > sizes[2] >= sizes[3]


def test_a_round_drops_the_worse_half_of_what_it_scored_and_nothing_else():
    amounts = Amounts(1, 1, sampled=10, kept=2)
    losses, cells = draw_losses(2), find_cells(CHOICES, COSTS, amounts)
    sample = draw_sample(CHOICES, cells, amounts, False, np.random.default_rng(0))
    assert len(set(sample)) == 10
    left = shrink(CHOICES, cells, {one: losses[one] for one in sample}, amounts, False)
    assert set(CHOICES) - set(left) == set(sorted(sample, key=losses.get)[5:])
    few = CHOICES[:2]
    assert draw_sample(few, cells, amounts, False, np.random.default_rng(0)) == [], "so few stay as they are"
    assert draw_sample(few, cells, amounts, True, np.random.default_rng(0)) == few


@pytest.mark.parametrize("budget", [Budget("a", size=900), Budget("b", latency=9.0), Budget("c", 1500, 14.0)], ids=str)
def test_the_selected_path_is_the_one_that_brute_force_finds(budget):
    own = [draw_losses(seed) for seed in range(2)]
    fitting = [
        (own[0][one] + own[1][other], (one, other))
        for one, other in product(CHOICES, CHOICES)
        if COSTS.size((one, other)) <= budget.size and latency_by_hand((one, other)) <= budget.latency
    ]
    assert 0 < len(fitting) < len(CHOICES) ** 2
    found = select_paths(own, COSTS, budget, 5)
    assert found[0] == min(fitting)[1]
    sums = [own[0][one] + own[1][other] for one, other in found]
    assert sums == sorted(sums)
    assert all(COSTS.size(path) <= budget.size and COSTS.latency(path) <= budget.latency for path in found)


def test_extremes_are_those_of_all_paths():
    pools = [CHOICES[::3], CHOICES[:4], CHOICES[50:]]
    for measure in (COSTS.size, COSTS.latency):
        every = [measure(path) for path in product(*pools)]
        assert measure(find_extreme(pools, measure)) == pytest.approx(min(every))
        assert measure(find_extreme(pools, measure, max)) == pytest.approx(max(every))


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget("a", size=10.0), r"--sizes 10: no candidate has so few parameters; the nearest has 88 \(88\)"),
        (Budget("b", latency=0.01), "--latencies 0.01: no candidate is so fast; the nearest takes"),
    ],
    ids=str,
)
def test_a_budget_that_nothing_meets_names_the_nearest(budget, message):
    with pytest.raises(InputError, match=message) as error:
        select_paths([draw_losses(0)], COSTS, budget, 3)
    assert "\n" not in str(error.value)
    assert str(error.value) == explain_budget([CHOICES], COSTS, budget)


def test_random_paths_are_within_their_budget_and_different():
    budget = Budget("a", size=900)
    pools = [CHOICES, CHOICES]
    found = draw_within(pools, COSTS, budget, 40, np.random.default_rng(0))
    assert len(set(found)) == 40
    assert all(COSTS.size(path) <= 900 for path in found)


def test_nothing_is_drawn_where_nothing_fits(monkeypatch):
    monkeypatch.setattr(shrinking, "_TRIES", 2)
    assert draw_within([CHOICES], COSTS, Budget("b", size=1), 3, np.random.default_rng(0)) == []


def test_every_choice_of_a_block_is_drawn_as_often():
    pools = Pools((tuple(CHOICES[:6]), tuple(CHOICES[6:9])))
    rng = np.random.default_rng(0)
    counts = Counter(pools.draw(rng) for _ in range(1800))
    assert len(counts) == 18
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 40.8  # 0.1 % of chi-squared, 17 degrees
