"""A cell as a unit of work: what travels to whoever computes it, and the function that does."""

from dataclasses import dataclass, replace
from pathlib import Path

from probing.contracts.measure import Cell, Encoded
from probing.records import Task
from probing.registry import MEASURES
from probing.settings.run import RunSettings
from probing.store.cell_files import write_cell
from probing.store.environment import describe_machine
from probing.store.shared_folders import SharedFolders
from probing.tables import CellResult

COSTS_A_CELL = (RuntimeError, ValueError, ArithmeticError, MemoryError)
"""Errors of torch and numpy, and lack of memory: they cost one cell, and the run goes on."""


@dataclass(frozen=True)
class CellOrder:
    """A cell without its sentences."""

    representation: str
    control: str
    seed: int
    measure: str
    key: str
    """Digest of all that its numbers depend on."""
    file: Path
    """Place where the finished cell is kept."""
    settings: RunSettings
    seen: SharedFolders
    """Folders that all who compute must see."""


@dataclass(frozen=True)
class Subject:
    """The sentences that the cells of a task share, and their vectors."""

    task: Task
    encoded: Encoded


@dataclass(frozen=True)
class CellError:
    """The error that a cell ends in, each time that it is computed."""

    text: str


def order_cell(cell: Cell, key: str, file: Path, settings: RunSettings, seen: SharedFolders) -> CellOrder:
    """The order of a cell."""
    return CellOrder(cell.representation, cell.control, cell.seed, cell.measure, key, file, settings, seen)


def compute_cell(order: CellOrder, subject: Subject) -> CellResult | CellError:
    """Compute a cell and keep it.

    Raises:
        InputError: the run's folder, or its cache, is not seen here.
        OSError: vectors cannot be read, or the cell cannot be written.
    """
    order.seen.check()
    cell = Cell(subject.task, order.representation, order.control, order.seed, order.measure)
    try:
        result = MEASURES.load(cell.measure)(cell, subject.encoded, order.settings)
    except COSTS_A_CELL as error:
        return CellError(f"{type(error).__name__}: {error}")
    result = replace(result, machine=describe_machine(subject.encoded.encoder.device))
    write_cell(order.file, order.key, result)
    return result
