"""The main job as a user runs it, `make probe`: a command of its own, its cache empty, as many sentences as fit."""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.machine import ROOT
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.timing import Comparison

COMMAND = "the default command"
FULL_TRAIN, FULL_SENTENCES = 10_000, 39_957
"""Of the controlled corpus: training sentences of a task, and distinct sentences of all ten."""
_ONCE = ("gradients",)
"""Stages whose work does not grow with the sentences."""


def compare_default_job(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """Seconds from the command to its first score and to its end, and what the full job takes by the same rates."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        seconds = run_command(checkpoint, sizes.limit, folder)
        manifest = json.loads((folder / "run" / "manifest.json").read_text())
    title = f"default job, at most {sizes.limit:,} sentences of each split, cache empty"
    comparison = Comparison(title, "jobs", COMMAND, {COMMAND: 1.0}, {COMMAND: [seconds]})
    comparison.facts = describe_job(manifest, seconds, sizes.limit)
    return [comparison]


def run_command(checkpoint: str, limit: int, folder: Path) -> float:
    """Seconds of the whole command, start-up, figures and report included.

    Raises:
        RuntimeError: the command failed; the message is the end of what it said.
    """
    command = [sys.executable, "probing/run_senteval.py", "--model", "bermo", "--checkpoint", checkpoint]
    command += ["--limit", str(limit), "--output", str(folder / "run"), "--cache-dir", str(folder / "cache")]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the default command ended with {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    return time.perf_counter() - start


def describe_job(manifest: dict[str, Any], seconds: float, limit: int) -> dict[str, Any]:
    """What the manifest says, and the full job's time, computed from it."""
    stages = {name: stage["seconds"] for name, stage in manifest["stages"].items()}
    kernels = "; ".join(f"{what} by {how}" for what, how in manifest["kernels"].items())
    kind = "preliminary" if manifest["first_score_preliminary"] else "of a whole task"
    facts = {"s to the first score": manifest["first_score_s"], "that score": kind, "s to the end": seconds}
    facts |= {f"s of stage {name}": spent for name, spent in stages.items()}
    facts["kernels"] = kernels
    encoding = manifest["stages"]["encoding"]
    if limit < FULL_TRAIN and encoding["encoded"]:
        facts["s of the full job (computed, not measured)"] = compute_full(stages, encoding["encoded"], seconds, limit)
    return facts


def compute_full(stages: dict[str, float], n_encoded: int, seconds: float, limit: int) -> float:
    """The default job without a limit, by the rates of the stages of one with it.

    encoding by distinct sentences; all that is probed by training sentences; what happens once, as it was. A rough
    figure: few sentences take other numbers of steps, and more of them stay in the cache.

    Args:
        stages: seconds of each.
        n_encoded: sentences that the encoding stage encoded.
        seconds: of the whole command.
        limit: training sentences of each task.
    """
    encoding = stages["encoding"] * FULL_SENTENCES / n_encoded
    grows = {name: spent for name, spent in stages.items() if name not in ("tasks", "encoding", *_ONCE)}
    return seconds - sum(grows.values()) - stages["encoding"] + encoding + sum(grows.values()) * FULL_TRAIN / limit
