"""The figures of a run as files: PNG for slides, PDF for papers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

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
    contents = render(figures)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return [folder / name for name in contents]


def render(figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """The contents of the files of figures, by file name; equal figures give equal files.

    Args:
        figures: by file stem.
    """
    contents = {}
    for name, figure in figures.items():
        with use_style(), _laid_out(figure):
            for form, metadata in _METADATA.items():
                buffer = BytesIO()
                figure.savefig(buffer, format=form, metadata=metadata)
                contents[f"{name}.{form}"] = buffer.getvalue()
    return contents


@contextmanager
def _laid_out(figure: Figure) -> Iterator[None]:
    """While this lasts, a figure's parts stay where its layout puts them: each file would draw it twice for that."""
    layout: Any = figure.get_layout_engine()
    if layout is None:
        yield
        return
    layout.execute(figure)
    figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(layout)
