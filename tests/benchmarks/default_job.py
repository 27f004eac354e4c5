"""The main job as a user runs it, `make probe`: a command of its own, its cache empty, as many sentences as fit."""

import json
import subprocess
import sys
import time
from math import isinf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from probing.store.environment import ROOT
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.timing import Comparison

COMMAND = "the default command"
FULL_TRAIN, FULL_SENTENCES = 10_000, 39_957
"""Of the controlled corpus: training sentences of a task, and distinct sentences of all ten."""
_ONCE = ("gradients",)
"""Stages whose work does not grow with the sentences."""


def compare_default_job(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """Seconds from the command to its first score and to its end, and what the full job takes by the same rates."""
    title = f"default job, at most {sizes.limit:,} sentences of each split, cache empty"
    with TemporaryDirectory() as name:
        folder, begun = Path(name), time.time()
        try:
            seconds = run_command(checkpoint, sizes.limit, folder, sizes.default_s)
        except subprocess.TimeoutExpired:
            return [describe_part(title, folder, begun, sizes.default_s)]
        manifest = json.loads((folder / "run" / "manifest.json").read_text())
    comparison = Comparison(title, "jobs", COMMAND, {COMMAND: 1.0}, {COMMAND: [seconds]})
    comparison.facts = describe_job(manifest, seconds, sizes.limit)
    return [comparison]


def run_command(checkpoint: str, limit: int, folder: Path, most_s: float) -> float:
    """Seconds of the whole command, start-up, figures and report included.

    Raises:
        RuntimeError: the command failed; the message is the end of what it said.
        subprocess.TimeoutExpired: it was ended after `most_s` seconds.
    """
    command = [sys.executable, "probing/run_senteval.py", "--model", "bermo", "--checkpoint", checkpoint]
    command += ["--limit", str(limit), "--output", str(folder / "run"), "--cache-dir", str(folder / "cache")]
    start, most = time.perf_counter(), None if isinf(most_s) else most_s
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=most)
    if done.returncode:
        raise RuntimeError(f"the default command ended with {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    return time.perf_counter() - start


def describe_part(title: str, folder: Path, begun: float, spent_s: float) -> Comparison:
    """What a command that was ended before it was done has left: its finished cells, by the times of their files."""
    cells = sorted((file.stat().st_mtime - begun, file.name) for file in folder.glob("run/cells/*"))
    scores = [after for after, name in cells if ".layer.none." in name and "gradients" not in name]
    way = f"{COMMAND}, ended before it was done"
    comparison = Comparison(title, "jobs", way, {way: 1.0}, {way: [spent_s]}, cut_short=True)
    comparison.facts["not done: s after which it was ended"] = spent_s
    comparison.facts["finished cells"] = len(cells)
    if scores:
        comparison.facts["s to the first task's scores, by the file's time"] = scores[0]
        comparison.facts["s to the last finished cell"] = (
            f"{cells[-1][0]:.4g} ({cells[-1][1].removesuffix('.safetensors')})"
        )
    return comparison


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
        most = compute_full(stages, encoding["encoded"], seconds, limit)
        facts["s of the full job, at most (in proportion to sentences; not measured)"] = most
    return facts


def compute_full(stages: dict[str, float], n_encoded: int, seconds: float, limit: int) -> float:
    """The default job without a limit, by the rates of the stages of one with it.

    encoding by distinct sentences; all that is probed by training sentences; what happens once, as it was. It is above
    what the job takes, since fits of few sentences spend most of their time on what does not grow with them.

    Args:
        stages: seconds of each.
        n_encoded: sentences that the encoding stage encoded.
        seconds: of the whole command.
        limit: training sentences of each task.
    """
    encoding = stages["encoding"] * FULL_SENTENCES / n_encoded
    grows = {name: spent for name, spent in stages.items() if name not in ("tasks", "encoding", *_ONCE)}
    return seconds - sum(grows.values()) - stages["encoding"] + encoding + sum(grows.values()) * FULL_TRAIN / limit
