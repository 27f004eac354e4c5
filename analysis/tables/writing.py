"""The tables of a run as files."""

from pathlib import Path

from analysis.runs.probing_run import load_run
from analysis.runs.training_run import is_training, load_training
from analysis.stats.of_a_run import RunNumbers
from analysis.tables.formats import to_csv, to_latex, to_markdown
from analysis.tables.of_a_run import tabulate_run
from analysis.tables.training import tabulate_training
from probing.atomic_files import check_writable, write_atomically

_ENDINGS = {"latex": "tex", "markdown": "md", "csv": "csv"}


def write_tables(run: Path, output: Path | None = None, form: str = "latex", seed: int = 0) -> list[Path]:
    """Write the tables that the run has rows for; all are made before the first is written.

    Args:
        run: run folder, of probing or of training.
        output: the folder of the tables; by default `tables` in the run folder.
        form: latex, markdown or csv.
        seed: of the bootstrap.

    Returns:
        The files, the main table first.

    Raises:
        InputError: as `analysis.runs.probing_run.load_run` and `analysis.runs.training_run.load_training`.
    """
    folder = output or run / "tables"
    check_writable(folder)
    if is_training(run):
        tables = tabulate_training(load_training(run))
    else:
        tables = tabulate_run(RunNumbers(load_run(run), seed)).printed()
    write = {"latex": to_latex, "markdown": to_markdown, "csv": lambda frame, _: to_csv(frame)}[form]
    contents = {folder / f"{name}.{_ENDINGS[form]}": write(frame, caption) for name, (frame, caption) in tables.items()}
    for path, content in contents.items():
        write_atomically(path, content.encode())
    return list(contents)
