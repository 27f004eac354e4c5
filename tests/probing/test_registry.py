from importlib.metadata import EntryPoint

import pytest

from probing import registry
from probing.records import InputError
from probing.registry import TABLES, names, resolve, suggest


@pytest.mark.parametrize(("table", "name"), [(table, name) for table, rows in TABLES.items() for name in rows])
def test_every_name_stands_for_something_that_is_there(table, name):
    assert resolve(table, name) is not None


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"unknown encoder 'brt': did you mean bert") as caught:
        resolve("encoders", "brt")
    assert "\n" not in str(caught.value)


def test_where_nothing_is_near_all_are_named():
    assert suggest("zzz", ["mean", "cls"]) == "known are mean, cls"
    assert suggest("MEAN", ["mean", "cls"]) == "did you mean mean?"


@pytest.fixture
def installed(monkeypatch):
    """An installed package that brings an encoder."""
    points = [EntryPoint("outside", "probing.settings.run:RunSettings", "probing.encoders")]
    points += [EntryPoint("bert", "no.such.module:build", "probing.encoders")]

    def entry_points(group, name=None):
        return [point for point in points if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(registry, "entry_points", entry_points)


@pytest.mark.usefixtures("installed")
def test_parts_of_installed_packages_are_known_by_their_entry_points():
    from probing.settings.run import RunSettings

    assert "outside" in names("encoders")
    assert resolve("encoders", "outside") is RunSettings
    assert "outside" not in names("probes")


@pytest.mark.usefixtures("installed")
def test_no_package_can_put_its_part_in_the_place_of_ours():
    assert names("encoders").count("bert") == 1
    assert resolve("encoders", "bert").__module__ == "probing.encoders.bert"


def test_without_packages_only_ours_are_known():
    assert "outside" not in names("encoders")
    assert set(TABLES["encoders"]) <= set(names("encoders"))
