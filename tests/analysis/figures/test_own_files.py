"""What --overwrite removes, against what is drawn: a figure of an earlier run must not stay beside a later one."""

import pytest

from analysis.figures.files import save_figures, write_figures
from analysis.terminal.training import draw_training_figures
from probing.store.own_files import list_own


@pytest.mark.slow
def test_every_figure_of_a_run_is_known_as_its_own(run, tmp_path):
    drawn = save_figures(run, tmp_path / "figures")
    assert set(drawn) == set(list_own(tmp_path))


@pytest.mark.slow
def test_every_figure_of_training_is_known_as_its_own(build_training, tmp_path):
    for number, methods in enumerate([("",), ("magnitude", "soft_movement")]):
        folder = tmp_path / str(number)
        drawn = write_figures(draw_training_figures(build_training("bermo", methods=methods)), folder / "figures")
        assert set(drawn) == set(list_own(folder))
