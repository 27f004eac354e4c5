"""Kills workers, drivers and whole nodes of a Ray cluster, round after round, and compares what their runs leave.

python -m tests.benchmarks.kills --rounds 10

Each round kills with -9: a worker that fits, one that encodes, one that trains, a driver, or all processes of a node.
Whoever is killed waits at a named pipe, so that work is really lost. Printed are the seconds until the lost work was
begun again, by another process; a round that leaves other bytes than one process, or computes anything else twice,
ends the script with exit code 1.
"""

import json
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import tyro

KINDS = ("fit", "pool", "step", "driver", "node")
"""Work, or process, that is killed: fits, encodings, steps of a training; the command; all of a machine."""
TASKS = ("past_present", "obj_number")
STEPS, EVERY = 60, 20
"""Steps of each training, and those between its checkpoints."""
_SPENT = ["seconds", "tokens_per_s", "peak_rss_bytes"]
_PATIENCE_S = 120.0


@dataclass(frozen=True)
class KillSettings:
    """How often each kind is killed."""

    rounds: int = 10
    """Rounds of each kind."""
    kinds: tuple[str, ...] = KINDS


@dataclass(frozen=True)
class Note:
    """A piece of work that was begun."""

    pid: int
    time: float
    what: str


class Place:
    """A corpus, an encoder and an installed package that waits; a folder for each run."""

    def __init__(self, folder: Path):
        self.folder, self.installed = folder, folder / "installed"

    def build(self) -> None:
        """Write them."""
        from tests.helpers import build_task, install_parts, save_encoder, write_task

        for seed, name in enumerate(TASKS):
            write_task(self.folder / "corpus", build_task(name, seed=seed))
        save_encoder(self.folder / "encoder")
        install_parts(self.installed)

    def take_notes(self, kind: str) -> list[Note]:
        """What was begun since this was last asked for."""
        path = self.installed / f"{kind}s"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        split = [line.split(" ", 2) for line in lines]
        return [Note(int(pid), float(moment), what) for pid, moment, what in split]

    def wait_for_victim(self, kind: str) -> int:
        """The process that waits."""
        deadline = time.monotonic() + _PATIENCE_S
        while not (waiting := list(self.installed.glob(f"waits.{kind}.*"))):
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody came to wait: {kind}")
            time.sleep(0.02)
        waiting[0].unlink()
        return int(waiting[0].suffix[1:])

    def read(self, name: str, *, trained: bool) -> Mapping[str, Any]:
        """All that a run has left, but for the seconds that it took: content of cells and vectors, or models."""
        from tests.helpers import read_cells

        folder = self.folder / name
        if not trained:
            shards = {
                str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("cache/**/*.safetensors")
            }
            return read_cells(folder / "run") | shards
        models = {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("run/models/**/*.safetensors")
        }
        tables = {
            name: pd.read_parquet(folder / "run" / f"{name}.parquet") for name in ("trained_models", "training_log")
        }
        return models | {name: table.drop(columns=_SPENT, errors="ignore").to_csv() for name, table in tables.items()}


def probe(folder: str, name: str, address: str = "") -> None:
    """A run with every cell and every vector new, by workers of a cluster or here."""
    from probing import pipeline
    from probing.progress import Reporter
    from probing.settings.named import make_settings

    place = Path(folder)
    settings: dict[str, Any] = {
        "model": "bermo", "checkpoint": str(place / "encoder"), "data": str(place / "corpus"), "tasks": list(TASKS),
        "probe": "waiting", "pooling": "waiting", "controls": ["control_task"], "gradients": 0, "device": "cpu",
        "threads": 1, "report": False, "quiet": True, "cache_dir": place / name / "cache",
        "output": place / name / "run",
    }  # fmt: skip
    with open_engine(address) as engine:
        outcome = pipeline.run(make_settings(settings), Reporter(quiet=True), engine)
    if outcome.failures:
        raise RuntimeError(f"cells failed: {outcome.failures}")


def train(folder: str, name: str, address: str = "") -> None:
    """A training of two models, likewise."""
    from probing.progress import Reporter
    from probing.registry import RECIPES
    from probing.training.run import train as train_models

    place = Path(folder)
    settings = RECIPES.load("counted").settings(
        checkpoint=str(place / "encoder"), task=TASKS[0], data=str(place / "corpus"), seeds=(0, 1), max_steps=STEPS,
        batch_size=8, learning_rate=1e-3, checkpoint_every=EVERY, evaluate_every=STEPS, device="cpu", dtype="float32",
        threads=1, output=place / name / "run",
    )  # fmt: skip
    with open_engine(address) as engine:
        train_models(settings, Reporter(quiet=True), engine)


@contextmanager
def open_engine(address: str) -> Iterator[Any]:
    """Two workers of a cluster, which goes on (local: the one that this process has); no address: this process."""
    from probing.registry import ENGINES
    from probing.work import EngineOptions

    engine = ENGINES.load("ray" if address else "local")(EngineOptions(address=address, workers=2))
    try:
        yield engine
    finally:
        if not address:
            engine.close()


class Nodes:
    """A cluster on this machine whose two nodes, of a CPU each, can be killed; its head computes nothing."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address
        self._nodes: list[Any] = []
        self.fill()

    def fill(self) -> None:
        """Have two nodes."""
        while len(self._nodes) < 2:
            self._nodes.append(self._cluster.add_node(num_cpus=1))

    def kill_node_of(self, pid: int) -> None:
        """Kill every process of the node that a worker is of, the raylet first."""
        for node in list(self._nodes):
            [raylet] = [one.process.pid for one in node.all_processes["raylet"]]
            below = list_below(raylet)
            if pid in below:
                for one in (raylet, *below):
                    kill(one)
                self._nodes.remove(node)
                self._cluster.remove_node(node, allow_graceful=False)
                return
        raise RuntimeError(f"process {pid} is on neither node")

    def close(self) -> None:
        """End the cluster."""
        import ray

        ray.shutdown()
        self._cluster.shutdown()


def list_below(pid: int) -> list[int]:
    """The processes that one has started, and those that they have."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, new = list[int](), [pid]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        found += new
    return found


def kill(pid: int) -> None:
    """Kill a process that may have ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


class Rounds:
    """Rounds against one cluster, each compared with what one process leaves."""

    def __init__(self, place: Place, nodes: Nodes, context: Any):
        self.place, self.nodes, self.context = place, nodes, context
        self.expected: dict[bool, Mapping[str, Any]] = {}
        self.once: dict[str, Counter[str]] = {}

    def learn(self) -> None:
        """Run in one process what is run by workers later."""
        folder = str(self.place.folder)
        for trained, work in ((False, probe), (True, train)):
            work(folder, f"local {trained}")
            self.expected[trained] = self.place.read(f"local {trained}", trained=trained)
        for kind in ("fit", "pool", "step"):
            self.once[kind] = Counter(note.what for note in self.place.take_notes(kind))

    def do(self, kind: str, name: str) -> dict[str, Any]:
        """One round: what was killed, seconds until its work was begun again, and faults."""
        noted = "fit" if kind in ("driver", "node") else kind
        (self.place.installed / f"armed.{noted}").touch()
        begun = time.time()
        killed = self._be_killed(name) if kind == "driver" else self._survive(kind, noted, name)
        taken = time.time() - begun
        notes, trained = self.place.take_notes(noted), kind == "step"
        faults = list(self._judge(kind, notes, killed))
        if self.place.read(name, trained=trained) != self.expected[trained]:
            faults.append("other bytes")
        for other in ("fit", "pool", "step"):
            self.place.take_notes(other)
        return {
            "kind": kind,
            "round": name,
            "recovery_s": self._recover_s(notes, killed),
            "all_s": taken,
            "faults": faults,
        }

    def _survive(self, kind: str, noted: str, name: str) -> tuple[int, float]:
        killed: list[tuple[int, float]] = []

        def look() -> None:
            pid = self.place.wait_for_victim(noted)
            killed.append((pid, time.time()))
            (self.nodes.kill_node_of if kind == "node" else kill)(pid)

        killer = Thread(target=look)
        killer.start()
        (train if kind == "step" else probe)(str(self.place.folder), name, self.nodes.address)
        killer.join()
        self.nodes.fill()
        return killed[0]

    def _be_killed(self, name: str) -> tuple[int, float]:
        arguments = (str(self.place.folder), name, self.nodes.address)
        driver = self.context.Process(target=probe, args=arguments)
        driver.start()
        pid = self.place.wait_for_victim("fit")
        moment = time.time()
        kill(driver.pid)
        driver.join()
        while Path(f"/proc/{pid}").exists():
            if time.time() - moment > _PATIENCE_S:
                raise TimeoutError(f"worker {pid} goes on without its driver")
            time.sleep(0.02)
        again = self.context.Process(target=probe, args=arguments)
        again.start()
        again.join()
        if again.exitcode:
            raise RuntimeError(f"the same command ended in {again.exitcode}")
        return pid, moment

    def _judge(self, kind: str, notes: Sequence[Note], killed: tuple[int, float]) -> Iterator[str]:
        """Faults in who did what: the lost work must be done once more, by another process, and nothing else."""
        noted = "fit" if kind in ("driver", "node") else kind
        done = Counter(note.what for note in notes)
        if done.keys() != self.once[noted].keys():
            yield "other work was done"
        twice = {what for what, count in done.items() if count != self.once[noted][what]}
        lost = [note.what for note in notes if note.pid == killed[0]][-1]
        if kind == "step":
            # From the checkpoint at step 20 on, up to the one at which it was killed.
            seed, step = map(int, lost.split("/"))
            if twice != {f"{seed}/{number}" for number in range(EVERY, step + 1)}:
                yield f"steps done twice: {sorted(twice)}"
        elif lost not in twice or len(twice) > (2 if kind == "driver" else 1):
            yield f"done twice: {sorted(twice)}; lost: {lost}"

    def _recover_s(self, notes: Sequence[Note], killed: tuple[int, float]) -> float:
        lost = [note.what for note in notes if note.pid == killed[0]][-1]
        first = f"{lost.split('/')[0]}/{EVERY}" if lost.endswith("/30") else lost
        again = [note.time for note in notes if note.what == first and note.time > killed[1] and note.pid != killed[0]]
        return min(again) - killed[1] if again else float("nan")


def main() -> int:
    """Kill, compare and print."""
    settings = tyro.cli(KillSettings, description=__doc__)
    if find_spec("ray") is None:
        print("killing workers needs Ray: pip install 'bermo-probing[cluster]'", file=sys.stderr)
        return 2
    with TemporaryDirectory() as name:
        place = Place(Path(name))
        place.build()
        # Parts of others are found where Python finds its own: here, in processes of the cluster, and in drivers.
        sys.path.insert(0, str(place.installed))
        os.environ["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), str(place.installed), *filter(None, sys.path)])
        os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_OFFLINE": "1"}
        return kill_rounds(settings, place)


def kill_rounds(settings: KillSettings, place: Place) -> int:
    """All rounds; 1 where one of them was not as it should be."""
    # Drivers are children of a process that has imported all, and started nothing.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["probing.pipeline", "probing.engines.ray"])
    context.Process(target=int).start()
    nodes = Nodes()
    rounds, found = Rounds(place, nodes, context), []
    rounds.learn()
    for number in range(settings.rounds):
        for kind in settings.kinds:
            found.append(rounds.do(kind, f"{kind} {number}"))
            print(json.dumps(found[-1]), flush=True)
    nodes.close()
    for kind in settings.kinds:
        seconds = [one["recovery_s"] for one in found if one["kind"] == kind]
        whole = [one["all_s"] for one in found if one["kind"] == kind]
        print(
            f"{kind}: {len(seconds)} rounds, work begun again after {np.median(seconds):.2f} s "
            f"[{min(seconds):.2f}, {max(seconds):.2f}], "
            f"the run took {np.median(whole):.1f} s [{min(whole):.1f}, {max(whole):.1f}]"
        )
    faults = sum(bool(one["faults"]) for one in found)
    print(f"{len(found)} rounds, {faults} of them not as they should be")
    return 1 if faults or not found else 0


if __name__ == "__main__":
    sys.exit(main())
