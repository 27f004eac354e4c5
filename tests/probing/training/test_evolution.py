"""The search on a space where the best is known, and its being stopped and going on."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from probing.encoders.layer_patterns import build_pattern
from probing.randomness import stream
from probing.records import InputError
from probing.training.evolution import ARMS, Evolution, Scored, best_by_generation, breed, rank, search
from probing.training.transforms.pattern_space import PatternSpace, Sizes, fit_intermediate

SIZES = Sizes(128, 2, 512)
EVOLUTION = Evolution(population=10, generations=8, parents=4, mutation=0.15, crossover=0.5)


def make_space(constraint="parameters", n=12, reference=()):
    return PatternSpace(tuple(reference) or build_pattern("interleaved", n), constraint, SIZES)


def count_agreements(pattern):
    """A score whose best pattern is the sandwich."""
    return float(np.mean(np.array(pattern) == build_pattern("sandwich", 12)))


def test_every_candidate_is_scored_once_and_both_arms_have_as_many():
    asked = []

    def score(pattern):
        asked.append(pattern)
        return count_agreements(pattern)

    found = search(make_space(), score, EVOLUTION, seed=3)
    assert len(asked) == len(set(asked))
    for arm in ARMS:
        own = [one.candidate for one in found if one.arm == arm]
        assert len(own) == len(set(own)) == 10 * 8
        assert set(own) <= set(asked)


@pytest.mark.parametrize("seed", range(3))
def test_evolution_finds_better_ones_than_chance_where_places_count_one_by_one(seed):
    found = search(make_space(), count_agreements, EVOLUTION, seed)
    tops = best_by_generation(found)
    assert tops["evolution"][-1] > tops["random"][-1]
    assert all(one <= other for best in tops.values() for one, other in pairwise(best))


def test_no_arm_is_favoured_where_nothing_can_be_learned():
    """The control: on scores that are noise, neither of the arms is better by more than noise."""
    noise = np.random.default_rng(0)
    gaps = []
    for seed in range(12):
        tops = best_by_generation(search(make_space("counts"), lambda _: float(noise.normal()), EVOLUTION, seed))
        gaps.append(tops["evolution"][-1] - tops["random"][-1])
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(len(gaps))


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("n_done", [1, 4])
def test_stopped_and_gone_on_with_it_is_the_same_search(n_done):
    whole = search(make_space(), count_agreements, EVOLUTION, seed=1)
    kept = []

    def keep(found):
        kept[:] = found
        if found[-1].generation + 1 == n_done:
            raise StoppedError

    with pytest.raises(StoppedError):
        search(make_space(), count_agreements, EVOLUTION, seed=1, keep=keep)
    asked = []
    again = search(make_space(), lambda one: asked.append(one) or count_agreements(one), EVOLUTION, 1, done=kept)
    assert again == whole
    assert not {one.candidate for one in kept} & set(asked)
    assert whole != search(make_space(), count_agreements, EVOLUTION, seed=2)


def test_a_space_that_is_used_up_ends_the_generation_and_not_the_program():
    space = make_space("counts", reference=(0, 1))
    found = search(space, lambda _: 0.0, Evolution(population=5, generations=2), seed=0)
    assert {one.candidate for one in found} == {(0, 1), (1, 0)}


def test_the_best_come_first_and_of_equals_the_earlier():
    found = [Scored("random", 0, (n,), score) for n, score in enumerate((0.1, 0.3, 0.2, 0.3))]
    assert rank(found) == [(1,), (3,), (2,), (0,)]


def test_with_nothing_found_yet_a_generation_is_drawn_from_the_whole_space():
    drawn = breed(make_space(), EVOLUTION, "evolution", [], stream(0, "some"))
    assert len(set(drawn)) == 10


@pytest.mark.parametrize("constraint", ["parameters", "counts", "none"])
def test_whatever_is_drawn_mutated_or_crossed_is_allowed(constraint):
    space, rng = make_space(constraint, reference=(0, 1, 2) * 4), np.random.default_rng(0)
    for _ in range(30):
        one, other = space.draw(rng), space.draw(rng)
        for pattern in (one, other, space.mutate(one, 0.2, rng), space.cross(one, other, rng)):
            assert space.allows(pattern)
            if constraint == "counts":
                assert Counter(pattern) == {0: 4, 1: 4, 2: 4}
            if constraint == "parameters":
                assert SIZES.count(pattern) == pytest.approx(SIZES.count(space.reference), rel=0.02)


def test_patterns_are_drawn_uniformly():
    """Of two convolutions, two attentions there are six orders; each is drawn as often, by a chi-squared test."""
    space, rng = make_space("counts", reference=(0, 0, 1, 1)), np.random.default_rng(0)
    counts = Counter(space.draw(rng) for _ in range(1200))
    assert len(counts) == 6
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 20.5  # 0.1 % of chi-squared, 5 degrees


def test_one_kind_more_of_feed_forward_is_another_size():
    space = make_space()
    assert space.allows(build_pattern("convolution_first", 12))
    assert not space.allows((2, *build_pattern("interleaved", 12)[1:]))
    assert not space.allows(build_pattern("interleaved", 10))


@pytest.mark.parametrize("pattern", [(0, 1, 2) * 4, (0, 2) * 6, (1, 2) * 6, (0, 0, 0, 1, 2, 2) * 2])
def test_the_inner_width_brings_every_pattern_to_the_same_weights(pattern):
    space = make_space()
    width = fit_intermediate(pattern, space)
    found = Sizes(128, 2, width).count(pattern)
    assert width % 8 == 0
    # Half a step of 8 is 4 x 2 x 128 weights for each feed-forward sub-layer.
    assert abs(found - SIZES.count(space.reference)) <= 4 * 2 * 128 * pattern.count(2)


def test_what_no_width_can_mend_is_refused():
    with pytest.raises(InputError, match="no inner width"):
        fit_intermediate((1,) * 12, make_space())


@dataclass
class Narrow:
    """A space of one pattern."""

    def draw(self, generator):
        return (1,)

    mutate = cross = None


def test_a_space_of_one_has_one():
    assert len(search(Narrow(), lambda _: 1.0, Evolution(population=3, generations=1), 0)) == 2
