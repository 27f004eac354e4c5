import pytest
from ipywidgets import Dropdown
from matplotlib.figure import Figure

from analysis.figures import redrawing
from analysis.figures.redrawing import list_sentences, redraw, show_table
from analysis.tables.table import Table
from probing.records import InputError


@pytest.fixture
def shown(monkeypatch):
    """What was displayed, one after the other."""
    shown = []
    monkeypatch.setattr(redrawing, "display", lambda *things: shown.append(things))
    return shown


def boxes(widget):
    return {box.description: box for box in widget.children[0].children if isinstance(box, Dropdown)}


def test_the_first_options_are_drawn_at_once_and_each_choice_draws_anew(shown):
    drawn = []

    def draw(task, layer):
        drawn.append((task, layer))
        return Figure()

    widget = redraw(draw, task=[("Tense", "past_present"), ("WC", "word_content")], layer=[1, 2])
    assert drawn == [("past_present", 1)]
    boxes(widget)["layer"].value = 2
    boxes(widget)["task"].value = "word_content"
    assert drawn == [("past_present", 1), ("past_present", 2), ("word_content", 2)]
    assert [type(thing) for [thing] in shown] == [Figure] * 3


def test_several_things_are_shown_together(shown):
    redraw(lambda: (1, 2))
    assert shown == [(1, 2)]


def test_bad_input_is_shown_in_words_and_any_other_error_is_raised(shown):
    def draw(right):
        raise InputError("no mix here") if right else ValueError("a bug")

    widget = redraw(draw, right=[True, False])
    assert shown[0][0].data == "no mix here"
    with pytest.raises(ValueError, match="a bug"):
        boxes(widget)["right"].value = False


def test_a_table_keeps_its_caption_and_sentences_are_a_list():
    html = show_table(Table("of what", ["Task", "Score"], [["Tense", "61.7"]])).to_html()
    assert all(text in html for text in ("of what", "Task", "61.7"))
    assert list_sentences(["One.", "Two."]).data == "* One.\n* Two."
