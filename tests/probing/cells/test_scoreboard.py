import io

import pytest
from rich.console import Console

from probing.cells.scoreboard import Scoreboard
from probing.tables import CellResult
from tests.helpers import build_task
from tests.probing.store.test_run_folder import make_score

TASKS = [build_task("past_present"), build_task("obj_number")]


def cell(values, representation="layer", **changes):
    """A result with these (dev, test) by layer."""
    pairs = [(split, value) for one in values.items() for split, value in zip(("dev", "test"), one[1], strict=True)]
    layers = [layer for layer in values for _ in range(2)]
    return CellResult(
        [
            make_score(layer=layer, split=split, value=value, representation=representation, **changes)
            for layer, (split, value) in zip(layers, pairs, strict=True)
        ]
    )


def show(board):
    console = Console(file=io.StringIO(), width=100)
    console.print(board)
    return [line.split("│")[1:-1] for line in console.file.getvalue().splitlines() if line.startswith("│")]


def row(board, number):
    return [text.strip() for text in show(board)[number]]


def test_the_best_layer_is_that_of_dev_and_each_cell_fills_its_column():
    board = Scoreboard(TASKS)
    assert row(board, 0) == ["past_present", "·", "·", "·"]
    assert board.add(cell({0: (0.6, 0.9), 1: (0.8, 0.7), 2: (0.7, 0.75)}))
    assert row(board, 0) == ["past_present", "70.0 (1)", "75.0 (2)", "·"]
    assert board.add(cell({-1: (0.5, 0.812)}, "scalar_mix"))
    assert row(board, 0) == ["past_present", "70.0 (1)", "75.0 (2)", "81.2"]
    assert row(board, 1) == ["obj_number", "·", "·", "·"]
    assert board.line("past_present") == "past_present: best layer 70.0 (1), last layer 75.0 (2), mix 81.2"


def test_seeds_are_averaged():
    board = Scoreboard(TASKS)
    for seed, value in enumerate((0.6, 0.8)):
        board.add(cell({0: (value, value)}, seed=seed))
    assert row(board, 0)[1] == "70.0 (0)"


@pytest.mark.parametrize("changes", [{"control": "control_task"}, {"metric": "usable_information_bits"}])
def test_controls_and_other_quantities_are_not_shown(changes):
    board = Scoreboard(TASKS)
    assert not board.add(cell({0: (0.6, 0.6)}, **changes))
    assert row(board, 0)[1] == "·"


def test_what_is_preliminary_is_marked_and_gives_way_to_the_whole():
    board = Scoreboard(TASKS)
    board.add_preliminary(cell({0: (0.6, 0.6), 1: (0.5, 0.5)}), 600)
    assert row(board, 0)[1:] == ["~60.0 (0)", "~50.0 (1)", "·"]
    assert "preliminary (from 600 training sentences)" in board.line("past_present")
    board.add(cell({0: (0.7, 0.7), 1: (0.9, 0.9)}))
    assert row(board, 0)[1:] == ["90.0 (1)", "90.0 (1)", "·"]
    assert "preliminary" not in board.line("past_present")
