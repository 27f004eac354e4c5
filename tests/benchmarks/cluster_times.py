"""Times of a run's cells, and what they would take on many workers: arithmetic on what a run folder says."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from pathlib import Path
from typing import Any

import pandas as pd

_FLOAT_BYTES = 4
_ENCODING_READS = 2
"""Times that encoded vectors pass the file system before cells read them: written, and read through to trust them."""


@dataclass(frozen=True)
class Work:
    """The work of a run in units, as it was measured."""

    cells_s: Sequence[float]
    """Seconds of each cell, in the order of stages."""
    encoding_s: float
    """Seconds of encoding, of all encoders together."""
    encoding_units: int
    """Files that are encoded, each by one worker at a time."""
    bytes_moved: float
    """Bytes that pass the file system."""
    threads: int
    """CPU threads that these times are of."""

    def times(self, n_runs: int) -> "Work":
        """The work of several such runs together."""
        return Work(
            list(self.cells_s) * n_runs, self.encoding_s * n_runs, self.encoding_units * n_runs,
            self.bytes_moved * n_runs, self.threads,
        )  # fmt: skip


def read_work(folder: Path, shard_bytes: int = 64 * 2**20) -> Work:
    """The work of a finished run.

    A stage's seconds are shared out among its cells by their fitting times, or alike where none are known.
    """
    manifest = json.loads((folder / "manifest.json").read_text())
    scores = pd.read_parquet(folder / "scores.parquet")
    stages: Mapping[str, Any] = manifest["stages"]
    cells: list[float] = []
    for name, stage in stages.items():
        if stage.get("cells"):
            cells += share_seconds(scores, name, int(stage["cells"]), float(stage["seconds"]))
    encoding = [stage for name, stage in stages.items() if name.startswith("encoding")]
    vector_bytes = _FLOAT_BYTES * len(manifest["encoder"]["layers"]) * manifest["encoder"]["hidden_size"]
    encoded = sum(stage["sentences"] for stage in encoding) * vector_bytes
    rows = {task: one["train"] + one["dev"] + one["test"] for task, one in manifest["tasks"].items()}
    read = sum(rows.values()) * vector_bytes * len(cells) / len(rows)
    return Work(
        cells, sum(stage["seconds"] for stage in encoding), max(1, -(-encoded // shard_bytes)),
        _ENCODING_READS * encoded + read, manifest["threads"],
    )  # fmt: skip


def share_seconds(scores: pd.DataFrame, stage: str, n_cells: int, seconds: float) -> list[float]:
    """The seconds of each cell of a stage."""
    control = "none" if stage == "probing" else stage
    fitted = scores[(scores["control"] == control) & (scores["split"] == "test") & (scores["metric"] == "accuracy")]
    weights = fitted.groupby(["task", "representation", "seed"], sort=False)["seconds"].max()
    if len(weights) != n_cells or weights.sum() <= 0:
        return [seconds / n_cells] * n_cells
    return (weights / weights.sum() * seconds).tolist()


def schedule(seconds: Sequence[float], workers: int) -> float:
    """The time of list scheduling, the longest first (Graham 1969, doi:10.1137/0117039)."""
    free = [0.0] * workers
    heapify(free)
    end = 0.0
    for cost in sorted(seconds, reverse=True):
        done = free[0] + cost
        heapreplace(free, done)
        end = max(end, done)
    return end


def predict(work: Work, workers: int, *, start_s: float, unit_s: float) -> float:
    """Seconds of a run on some workers, as far as the file system does not take longer.

    T(W) = start + max(list schedule of files to encode + list schedule of cells, units x driver's seconds).

    Args:
        work: of the run.
        workers: that are had.
        start_s: seconds until workers work.
        unit_s: seconds of the driver for each unit.
    """
    encoding = schedule([work.encoding_s / work.encoding_units] * work.encoding_units, workers)
    units = len(work.cells_s) + work.encoding_units
    return start_s + max(encoding + schedule(work.cells_s, workers), units * unit_s)


def sleep(seconds: float, shared: Any) -> float:
    """Take as long as a unit did; here, for workers find a function by the name of its module."""
    time.sleep(seconds)
    return seconds
