"""Two trainings side by side on a terminal: steps to the same dev score."""

from pathlib import Path

from analysis.figures.files import write_figures
from analysis.figures.training import plot_training
from analysis.runs.probing_run import check_different
from analysis.runs.training_run import label_runs, load_trainings, stack_logs
from analysis.stats.convergence import compare_convergence
from analysis.terminal.training import print_convergence
from probing.atomic_files import check_writable, to_csv, write_atomically


def show_convergence(baseline: Path, other: Path, output: Path | None = None) -> None:
    """Print the comparison, and save it where it is asked for.

    Args:
        baseline: folder of the run whose final dev score is to be reached.
        other: folder of the run in question.
        output: folder for the curves (PNG and PDF) and the table (CSV).

    Raises:
        InputError: both are one run; or as `compare_convergence` and `analysis.runs.training_run.load_training`.
    """
    if output is not None:
        check_writable(output)
    runs = load_trainings([baseline, other])
    check_different(baseline, other)
    table = compare_convergence(runs[0], runs[1])
    labels = label_runs(runs)
    if output is not None:
        write_figures({"convergence": plot_training(stack_logs(runs), metric=runs[0].metric)}, output)
        write_atomically(output / "convergence.csv", to_csv(table))
    print_convergence(table, labels[0], labels[1], runs[0])
