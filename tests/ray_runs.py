"""Whole runs by Ray, in one process and by one cluster of two workers: python -m tests.ray_runs FOLDER.

What is found is printed as JSON: encoding in units of several files, models that need another model, and a sweep.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Thread

import pandas as pd
import yaml

from probing import sweeping
from probing.engines.ray import RayEngine
from probing.progress import Reporter
from probing.registry import RECIPES
from probing.representations import shard_encoding
from probing.representations.shard_work import encode_shards
from probing.settings.sweep import read_sweep
from probing.training.run import train
from probing.work import EngineOptions
from tests.benchmarks.kills import Place, kill, probe
from tests.helpers import N_LAYERS, read_cells, save_encoder

SPENT = ["seconds", "tokens_per_s", "sentences_per_s", "peak_rss_bytes"]


def list_twice(place, kind, once):
    """Work that was done more often than by one process, and by how many processes."""
    notes = place.take_notes(kind)
    done = Counter(note.what for note in notes)
    pids = {what: len({note.pid for note in notes if note.what == what}) for what in done}
    return [pids[what] for what, count in done.items() if count != once[what]], done.keys() == once.keys()


def watch(place, kind, meanwhile=lambda: None):
    """Kill who comes to wait, after something else."""

    def look():
        pid = place.wait_for_victim(kind)
        meanwhile()
        kill(pid)

    (place.installed / f"armed.{kind}").touch()
    watcher = Thread(target=look)
    watcher.start()
    return watcher


def encode(place):
    """Small files, of which workers encode several a unit once they know how long one takes; one worker is killed."""
    shard_encoding._SHARD_BYTES = 4 * (N_LAYERS + 1) * 8 * 10  # ten sentences
    folder, sizes, usual = str(place.folder), [], RayEngine.run
    probe(folder, "encoded here")
    once = Counter(note.what for note in place.take_notes("pool"))

    def run(self, function, units):
        for outcome in usual(self, function, units):
            if function is encode_shards:
                sizes.append(len(outcome.unit.payload))
            yield outcome

    RayEngine.run = run
    watcher = watch(place, "pool")
    probe(folder, "encoded there", "local")
    watcher.join()
    RayEngine.run, shard_encoding._SHARD_BYTES = usual, 64 * 2**20
    twice, alike = list_twice(place, "pool", once)
    place.take_notes("fit")
    here, there = (place.read(name, trained=False) for name in ("encoded here", "encoded there"))
    return {"sizes": sizes, "twice": twice, "same_work": alike, "same_bytes": here == there, "files": len(here)}


def make_needy(place):
    """A teacher, and students that wait for it."""
    found = {}
    for name, engine in (("here", None), ("there", RayEngine(EngineOptions(workers=2)))):
        settings = RECIPES.load("kdlsq_bert").settings(
            checkpoint=str(place.folder / "encoder"), task="past_present", data=str(place.folder / "corpus"),
            seeds=(0,), bits=(8, 2), arms=("kdlsq",), teacher_steps=10, max_steps=10, batch_size=16,
            evaluate_every=10, device="cpu", dtype="float32", threads=1, output=place.folder / "needy" / name,
        )  # fmt: skip
        train(settings, Reporter(quiet=True), engine)
        folder = place.folder / "needy" / name
        tables = [pd.read_parquet(folder / f"{table}.parquet") for table in ("trained_models", "training_log")]
        models = {str(one.relative_to(folder)): one.read_bytes() for one in (folder / "models").rglob("*.safetensors")}
        found[name] = [table.drop(columns=SPENT, errors="ignore").to_csv() for table in tables], models
    names = sorted({path.split("/")[1] for path in found["here"][1]})
    return {"models": names, "same": found["here"] == found["there"]}


def sweep(place):
    """Two encoders and two seeds: a worker is killed, a cell fails, the sweep is asked how far it is, and goes on."""
    for name, seed in (("one", 1), ("two", 2)):
        save_encoder(place.folder / name, seed=seed)
    found = {}
    for where in ("here", "there"):
        text = {
            "model": "bermo", "checkpoint": [str(place.folder / name) for name in ("one", "two")], "seeds": [[0], [1]],
            "data": str(place.folder / "corpus"), "tasks": ["past_present", "obj_number"], "probe": "waiting",
            "controls": ["untrained"], "gradients": 0, "device": "cpu", "threads": 1, "workers": 2, "report": False,
            "cache_dir": str(place.folder / where / "cache"), "engine": "ray" if where == "there" else "local",
        }  # fmt: skip
        (place.folder / f"{where}.yaml").write_text(yaml.safe_dump(text))
        runs = read_sweep(place.folder / f"{where}.yaml", place.folder / where, quiet=True, report=False)
        if where == "here":
            sweeping.sweep(runs, 2)
        else:
            found |= _sweep_by_ray(place, runs)
    cells = [{run.name: read_cells(place.folder / where / run.name) for run in runs} for where in ("here", "there")]
    found["counts"] = {name: len(own) for name, own in cells[0].items()}
    return found | {"same": cells[0] == cells[1]}


def _sweep_by_ray(place, runs):
    folder, said = place.folder / "there", []
    (place.installed / "fails").touch()
    watcher = watch(place, "fit", lambda: said.append(ask_status(folder)))
    first = sweeping.sweep(runs, 2)
    watcher.join()
    said.append(ask_status(folder))
    again = sweeping.sweep(runs, 2)
    place.take_notes("fit")
    last = sweeping.sweep(runs, 2, retry_failed=True)
    said.append(ask_status(folder))
    complete = [one.complete for one in (first, again, last)]
    return {"complete": complete, "fits_again": len(place.take_notes("fit")), "status": said}


def ask_status(folder):
    """Exit code and words of `bermo-probing status`, from another process in another folder."""
    command = [sys.executable, "-m", "probing.commands.show_status", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    return done.returncode, done.stdout + done.stderr


def main(folder):
    """Do all, by one cluster."""
    place = Place(folder)
    place.build()
    sys.path.insert(0, str(place.installed))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), str(place.installed), *filter(None, sys.path)])
    RayEngine(EngineOptions(workers=2))  # starts the cluster that all further ones find
    return {trial.__name__: trial(place) for trial in (encode, make_needy, sweep)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))) + "\n")
    sys.stdout.flush()
    os._exit(0)
