"""What a run says of probes that stopped too early."""

from dataclasses import replace

from probing.cells.runner import warn_unconverged
from probing.progress import Reporter
from probing.tables import CellResult
from tests.probing.cells.test_selectivity import score


def test_the_warning_has_titles_and_says_what_it_means_and_what_to_do():
    stopped = replace(
        score("none", "scalar_mix", -1, 0.5, 100),
        task="bigram_shift",
        layer_name="scalar mix",
        split="test",
        converged=False,
    )
    ended = replace(stopped, task="own", converged=True)
    control = replace(stopped, task="own", layer_name="3", control="control_task")
    reporter = Reporter(quiet=True)
    warn_unconverged([CellResult([stopped, ended]), CellResult([control])], {"bigram_shift": "BShift"}, reporter)
    (line,) = reporter.warnings
    assert line.startswith("probes did not converge: BShift (scalar mix), own (3, control_task): ")
    assert "where the solver stopped" in line
    assert "--limit" in line


def test_nothing_is_said_where_all_converged():
    reporter = Reporter(quiet=True)
    warn_unconverged([CellResult([score("none", "layer", 3, 0.5, 100)])], {}, reporter)
    assert reporter.warnings == []
