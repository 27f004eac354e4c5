from importlib.metadata import EntryPoint
from importlib.util import find_spec
from typing import Protocol

import pytest

from probing import registry
from probing.contracts.checking import find_breach
from probing.records import InputError
from probing.registry import METRICS, PROBES, REGISTRIES, Registry
from probing.suggestions import suggest

ROWS = [(one, name) for one in REGISTRIES for name in one.own]


@pytest.mark.parametrize(("parts", "name"), ROWS, ids=[f"{one.name}-{name}" for one, name in ROWS])
def test_every_name_stands_for_something_that_is_there_and_keeps_its_contract(parts, name):
    needed = {"ray": "ray", "slurm": "submitit"}.get(name, "numpy")
    if find_spec(needed) is None:
        pytest.skip(f"--engine {name}: needs bermo-probing[cluster]")
    assert parts.load(name) is not None


def test_every_registry_has_a_name_of_its_own():
    assert len({one.name for one in REGISTRIES}) == len(REGISTRIES)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"unknown probe 'linaer': did you mean linear") as caught:
        PROBES.load("linaer")
    assert "\n" not in str(caught.value)


def test_where_nothing_is_near_all_are_named():
    assert suggest("zzz", ["mean", "cls"]) == "known are mean, cls"
    assert suggest("MEAN", ["mean", "cls"]) == "did you mean mean?"


@pytest.fixture
def install(monkeypatch):
    """Function: a registry of metrics as it is where packages with these entry points are installed."""

    def make(**points):
        found = [EntryPoint(name, place, "probing.metrics") for name, place in points.items()]

        def entry_points(group):
            return [point for point in found if point.group == group]

        monkeypatch.setattr(registry, "entry_points", entry_points)
        return Registry(METRICS.name, METRICS.contract, METRICS.own)

    return make


def test_parts_of_installed_packages_are_known_by_their_entry_points(install):
    metrics = install(hits="probing.scores.metrics:f1")
    assert metrics.names() == sorted([*METRICS.own, "hits"])
    assert metrics.load("hits") is METRICS.load("f1")
    assert "hits" not in Registry(PROBES.name, PROBES.contract, PROBES.own).names()


def test_no_package_can_put_its_part_in_the_place_of_ours(install):
    metrics = install(f1="no.such.module:metric")
    with pytest.raises(InputError, match=r"metric 'f1': given by this project and by no.such.module"):
        metrics.load("accuracy")


def test_two_packages_with_one_name_are_refused(monkeypatch):
    two = [EntryPoint("hits", place, "probing.metrics") for place in ("one:metric", "two:metric")]
    monkeypatch.setattr(registry, "entry_points", lambda group: two)
    with pytest.raises(InputError, match=r"'hits': given by one:metric and by two:metric"):
        Registry(METRICS.name, METRICS.contract, METRICS.own).names()


@pytest.mark.parametrize("place", ["no.such.module:metric", "probing.scores.metrics:no_such_metric"])
def test_a_part_that_cannot_be_loaded_ends_in_a_line_that_names_its_package(install, place):
    with pytest.raises(InputError, match=f"metric 'hits': {place} cannot be loaded") as caught:
        install(hits=place).load("hits")
    assert "\n" not in str(caught.value)


def test_a_part_that_breaks_its_contract_is_refused_when_it_is_loaded(install):
    place = "probing.registry:suggest"
    with pytest.raises(InputError, match=rf"metric 'hits' \({place}\): .*expected what .*metric:Metric asks for"):
        install(hits=place).load("hits")


class Speaks(Protocol):
    loud: bool

    def say(self, word: str, /, *, times: int = 1) -> str: ...


class Calls(Protocol):
    def __call__(self, word: str, /, *, times: int = 1) -> str: ...


class Good:
    loud = True

    def say(self, word, *, times=1, tone=0):
        return word * times


def renamed(text, *, times=1):
    return text * times


def silent(*, times=1):
    return times


def demanding(word, other, *, times=1):
    return word + other * times


def deaf(word):
    return word


class Quiet(Good):
    loud = "yes"


class Forgetful(Good):
    say = deaf


@pytest.mark.parametrize(
    ("part", "contract", "breach"),
    [
        (Good, Speaks, ""),
        (Good(), Speaks, ""),
        (renamed, Calls, ""),
        (Good().say, Calls, ""),
        (type("Mute", (), {"loud": True}), Speaks, "no `say`"),
        (type("Unmarked", (), {"say": Good.say}), Speaks, "no `loud`"),
        (Quiet, Speaks, "`loud` is 'yes', no bool"),
        (Forgetful, Speaks, "`say` takes other arguments"),
        (silent, Calls, "too many positional arguments"),
        (demanding, Calls, "missing a required argument: 'other'"),
        (deaf, Calls, "got an unexpected keyword argument 'times'"),
        (3, Calls, "no `__call__`"),
    ],
)
def test_a_breach_is_found_and_named_and_a_kept_contract_has_none(part, contract, breach):
    found = find_breach(part, contract)
    assert found.startswith(breach)
    assert bool(found) == bool(breach)
