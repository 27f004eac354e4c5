"""Numbers out of their range are refused in one line that names the flag, by the same checks for every settings."""

import math
from dataclasses import dataclass, replace

import pytest

from probing.catalogue.measures import MEASURES, ON_REQUEST
from probing.records import InputError
from probing.settings.checks import (
    ABOVE_0,
    FROM_0,
    SHARE,
    Range,
    check_measures,
    check_ranges,
    check_seeds,
    check_settings,
)
from probing.settings.run import RunSettings


@dataclass(frozen=True)
class Example:
    max_steps: float = 1
    sparsity: tuple[float, ...] = (0.5,)
    rate: float = 0.1


RANGES = {"max_steps": FROM_0, "sparsity": SHARE, "rate": ABOVE_0}


@pytest.mark.parametrize("fine", [{}, {"max_steps": 0}, {"sparsity": (0.0, 0.999)}, {"sparsity": ()}, {"rate": 1e-9}])
def test_numbers_in_their_range_pass(fine):
    check_ranges(replace(Example(), **fine), RANGES)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_steps": -1}, r"^--max-steps -1: expected 0 or more$"),
        ({"max_steps": math.nan}, r"^--max-steps nan: expected 0 or more$"),
        ({"sparsity": (0.5, 1.0)}, r"^--sparsity 1\.0: expected 0 or more and below 1$"),
        ({"rate": 0}, r"^--rate 0: expected more than 0$"),
        ({"rate": math.nan}, r"^--rate nan: expected more than 0$"),
    ],
)
def test_a_number_out_of_its_range_is_named_with_its_flag(wrong, message):
    with pytest.raises(InputError, match=message):
        check_ranges(replace(Example(), **wrong), RANGES)


def test_the_bounds_of_a_range_are_as_it_says():
    unit = Range("from 0 to below 1", 0, 1)
    assert [value in unit for value in (-1e-9, 0, 0.999, 1)] == [False, True, True, False]
    assert [value in replace(unit, above_low=True) for value in (0, 1e-9)] == [False, True]


@pytest.mark.parametrize("seeds", [(), (0, 0), (1, -1)])
def test_seeds_are_different_numbers_from_0_on(seeds):
    check_seeds((0, 3))
    with pytest.raises(InputError, match="expected one or more different numbers"):
        check_seeds(seeds)


@pytest.mark.parametrize("name", [name for name in ON_REQUEST if MEASURES[name].needs])
def test_a_measure_is_refused_where_a_setting_that_it_needs_is_another(name):
    others = {"probe": "mlp", "protocol": "senteval", "mix_dropout": 0.1}
    check_measures(RunSettings(measures=(name,)))
    for field in MEASURES[name].needs:
        with pytest.raises(InputError, match=f"--measures {name}: only with .*--{field.replace('_', '-')}"):
            check_measures(replace(RunSettings(measures=(name,)), **{field: others[field]}))


@pytest.mark.parametrize("probe", ["scalar_mix", "senteval", "majority"])
def test_a_probe_of_no_single_layer_is_refused(probe):
    with pytest.raises(InputError, match=f"--probe {probe}: comes with a representation or a protocol"):
        check_settings(RunSettings(probe=probe))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"controls": ("bag_of_embeddings", "bag_of_embeddings")}, "--controls .*twice"),
        ({"measures": ("code_length", "code_length")}, "--measures .*twice"),
        ({"tasks": ()}, "--tasks: expected one or more"),
        ({"seeds": (10**40,)}, "--seeds 1000.*below 2\\^63"),
        ({"seeds": (0, 1, 0)}, "--seeds 0 1 0"),
        ({"threads": 10**20}, "--threads 1000.*at most 4096"),
        ({"limit": 10**20}, "--limit 1000.*"),
        ({"cache_limit": math.nan}, "--cache-limit nan"),
        ({"cache_limit": math.inf}, "--cache-limit inf"),
        ({"cache_limit": 1e300}, "--cache-limit 1e.300"),
        ({"device": "meta"}, "--device meta.*not a device"),
        ({"device": "cuda:99"}, "--device cuda:99"),
    ],
)
def test_what_would_fail_late_is_refused_at_once(changes, words):
    with pytest.raises(InputError, match=words):
        check_settings(replace(RunSettings(), **changes))


def test_a_cache_that_cannot_be_is_refused_at_once(tmp_path):
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "stacks").write_text("mine")
    for name in ("link", "file", "file/cache", "cache"):
        with pytest.raises(InputError, match="choose another --cache-dir"):
            check_settings(replace(RunSettings(), cache_dir=tmp_path / name))
