"""What a claim asks for is there to be run, and asked for by `--reviewer`."""

from dataclasses import replace

import pytest

from probing.catalogue.claims import CLAIMS, Claim, count_seeds, list_controls, list_measures, list_missing, list_needs
from probing.catalogue.controls import CONTROLS
from probing.catalogue.measures import MEASURES
from probing.settings.checks import check_settings
from probing.settings.reviewer import describe_reviewer, expand_reviewer
from probing.settings.run import RunSettings, effective_settings


def test_what_a_claim_names_is_in_the_catalogue():
    for claim in CLAIMS.values():
        assert set(claim.controls) <= set(CONTROLS)
        assert set(claim.measures) <= set(MEASURES)
        assert claim.says[0].islower()
        assert not claim.says.endswith(".")


def test_a_run_lacks_what_it_has_no_numbers_of():
    claim = Claim("it is", "else", controls=("word_count", "untrained"), measures=("code_length",), seeds=3)
    assert list_missing(claim, set(), 1) == ["word_count", "untrained", "code_length", "3 seeds"] == list_needs(claim)
    assert list_missing(claim, {"untrained", "code_length"}, 3) == ["word_count"]
    assert list_missing(claim, {"untrained", "code_length", "word_count"}, 5) == []
    assert list_missing(replace(claim, beyond="more"), {"untrained", "code_length", "word_count"}, 3) == ["more"]


def test_reviewer_turns_on_whatever_flags_can_bear():
    settings = expand_reviewer(RunSettings(reviewer=True))
    check_settings(settings)
    ran = {*settings.controls, *settings.measures, "usable_information"}
    for claim in CLAIMS.values():
        assert list_missing(claim, ran, len(settings.seeds)) == ([claim.beyond] if claim.beyond else [])
    assert settings.control_mix
    assert not settings.reviewer


def test_without_it_nothing_changes():
    assert expand_reviewer(RunSettings()) == RunSettings()


def test_what_was_asked_for_besides_stays_in_its_place():
    asked = {"controls": ("shuffled_labels", "untrained"), "measures": ("concat",), "seeds": (7, 8)}
    settings = expand_reviewer(RunSettings(reviewer=True, **asked))
    for name, values in asked.items():
        found = getattr(settings, name)
        assert found[: len(values)] == values
        assert len(set(found)) == len(found)
    assert settings.seeds == (7, 8, 9)
    assert set(settings.controls) == {"shuffled_labels", *list_controls()}
    assert set(settings.measures) == {"concat", *list_measures()}
    assert len(expand_reviewer(RunSettings(reviewer=True, seeds=tuple(range(5)))).seeds) == 5 > count_seeds()


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [({"probe": "mlp"}, "code_length"), ({"mix_dropout": 0.1}, "weight_intervals"), ({}, "")],
)
def test_a_measure_that_other_settings_do_not_allow_is_left_out_and_named(changes, left_out):
    settings = expand_reviewer(RunSettings(reviewer=True, **changes))
    check_settings(settings)
    assert left_out not in settings.measures
    assert ("left out" in describe_reviewer(settings)) == bool(left_out)
    assert left_out in describe_reviewer(settings)


def test_it_is_the_same_run_as_its_flags_written_out():
    settings = expand_reviewer(RunSettings(reviewer=True))
    written = {name: getattr(settings, name) for name in ("controls", "measures", "seeds")}
    assert effective_settings(settings) == effective_settings(RunSettings(control_mix=True, **written))
    assert "reviewer" not in effective_settings(settings)
