"""The figures of a run as files: PNG for slides, PDF for papers."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from analysis.figures.of_a_run import draw_figures
from analysis.figures.style import use_style
from analysis.runs.probing_run import Run
from probing.atomic_files import write_atomically

# Without dates, equal runs leave equal files.
_METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None, "Creator": None}}


def save_figures(run: Run, folder: Path | str, seed: int = 0) -> list[Path]:
    """Draw all figures first, then write each as PNG (300 dpi) and PDF: a figure that fails leaves no half set.

    Args:
        run: from `analysis.runs.probing_run.load_run`.
        folder: made if it is not there.
        seed: of the bootstrap.

    Returns:
        The files, in order.

    Raises:
        InputError: as `analysis.figures.of_a_run.draw_figures`.
    """
    return write_figures(draw_figures(run, seed), Path(folder))


def write_figures(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write figures, by file stem, as PNG and PDF; all are rendered before the first is written.

    Returns:
        The files, in order.
    """
    contents = {
        folder / f"{name}.{form}": render(figure, form) for name, figure in figures.items() for form in _METADATA
    }
    for path, content in contents.items():
        write_atomically(path, content)
    return list(contents)


def render(figure: Figure, form: str) -> bytes:
    """The content of a `png` or `pdf` file, the same for the same figure."""
    buffer = BytesIO()
    with use_style():
        figure.savefig(buffer, format=form, metadata=_METADATA[form])
    return buffer.getvalue()
