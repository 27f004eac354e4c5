"""Letters that no font here has are told once, where the figures are announced."""

import warnings
from dataclasses import replace

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from analysis.figures import style
from analysis.figures.style import warn_of_letters
from analysis.terminal.run import show_run


def is_drawn_as_a_box(text):
    """What matplotlib itself says of a text, drawn with the same fonts."""
    with warnings.catch_warnings(record=True) as caught, mpl.rc_context({"font.sans-serif": list(style._find_fonts())}):
        warnings.simplefilter("always")
        figure = Figure()
        figure.text(0, 0, text)
        figure.draw_without_rendering()
    return any("missing from font" in str(warning.message) for warning in caught)


@pytest.mark.parametrize(
    "text", ["SentLen", "Größe", "Ударение", "情感分类", "감정", "\U0001f389", "US$_to_A$", "a b\u200bc"]
)
def test_a_text_is_named_where_matplotlib_draws_a_box(text):
    assert (text in warn_of_letters(["SentLen", text, "Tense"])) == is_drawn_as_a_box(text)


@pytest.mark.slow
def test_a_run_with_such_a_task_ends_in_one_warning(plain_run, write_run, tmp_path, capsys, monkeypatch):
    known = style._find_letters() - {ord("ж")}
    monkeypatch.setattr(style, "_find_letters", lambda: known)
    scores = plain_run.scores.replace({"task": {"past_present": "жук"}})
    predictions = plain_run.predictions.replace({"task": {"past_present": "жук"}})
    show_run(write_run(replace(plain_run, scores=scores, predictions=predictions), tmp_path / "run"))
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("figures show boxes in place of letters of жук: no font here has them") == 1
    show_run(write_run(plain_run, tmp_path / "plain"))
    assert "boxes" not in capsys.readouterr().out
