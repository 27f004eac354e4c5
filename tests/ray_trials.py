"""Trials of the engine over Ray, each in a process of its own: python -m tests.ray_trials NAME FOLDER.

Units write who computes them into the folder; what a trial finds is printed as JSON.
"""

import json
import os
import signal
import sys
import time
from importlib import import_module
from pathlib import Path
from threading import Thread
from unittest.mock import patch

from probing.engines.ray import RayEngine
from probing.records import InputError
from probing.store.environment import describe_machine
from probing.work import EngineOptions, Unit


def compute(number, folder):
    """Note who computes the unit; the first attempt of unit 0 waits until it is killed or its time is over."""
    with (folder / f"unit.{number}").open("a") as file:
        file.write(f"{os.getpid()}\n")
    try:
        (folder / f"armed.{number}").rename(folder / f"waits.{number}")
    except FileNotFoundError:
        return number * number
    time.sleep(600)
    raise AssertionError("nobody ended it")


def spoil(number, folder):
    (folder / f"unit.{number}").open("a").write(f"{os.getpid()}\n")
    raise ValueError(f"spoilt {number}")


def refuse(number, folder):
    (folder / f"unit.{number}").open("a").write(f"{os.getpid()}\n")
    raise InputError("no such thing here")


def list_units(engine, folder, n=6, gpus=0.0):
    handle = engine.share(folder)
    return [Unit(f"unit {number}", float(n - number), number, handle, gpus) for number in range(n)]


def run(engine, units, function=compute):
    return sorted((outcome.unit.payload, getattr(outcome, "result", None)) for outcome in engine.run(function, units))


def kill_when_it_waits(folder, how):
    def look():
        while not (folder / "waits.0").exists():
            time.sleep(0.02)
        how(int((folder / "unit.0").read_text().split()[0]))

    Thread(target=look, daemon=True).start()


def list_attempts(folder):
    return {path.suffix[1:]: path.read_text().split() for path in sorted(folder.glob("unit.*"))}


def try_timeout(folder):
    """A unit that hangs is ended and computed again."""
    (folder / "armed.0").touch()
    engine = RayEngine(EngineOptions(workers=2, unit_timeout_s=5.0))
    found = run(engine, list_units(engine, folder))
    hung = int(list_attempts(folder)["0"][0])
    time.sleep(1.0)
    gone = not Path(f"/proc/{hung}").exists()
    engine.close()
    return {"found": found, "attempts": list_attempts(folder), "gone": gone}


def try_hopeless(folder):
    """A unit that hangs each time is lost after its retries, and says why; an error is raised at once."""
    engine = RayEngine(EngineOptions(workers=1, unit_timeout_s=2.0, retries=1))
    handle = engine.share(folder)
    (lost,) = list(engine.run(hang, [Unit("unit", 1.0, 0, handle)]))
    errors = []
    for function in (spoil, refuse):
        try:
            run(engine, list_units(engine, folder, 1), function)
        except Exception as error:  # noqa: BLE001
            errors.append(f"{type(error).__name__}: {error}")
    engine.close()
    return {"reason": lost.reason, "attempts": lost.attempts, "errors": errors, "tries": list_attempts(folder)}


def hang(number, folder):
    time.sleep(600)


def try_actor(folder):
    """Units on a GPU have a process that lives on from unit to unit; when it is killed, another takes its unit."""
    import ray

    # A GPU that is not there: nothing looks for it.
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=2, num_gpus=1, object_store_memory=200 * 2**20, **quiet)
    (folder / "armed.0").touch()
    engine = RayEngine(EngineOptions(workers=4, mixed_hardware=True))
    kill_when_it_waits(folder, lambda pid: os.kill(pid, signal.SIGKILL))
    found = run(engine, list_units(engine, folder, gpus=1.0))
    try:
        run(engine, list_units(engine, folder, gpus=2.0))
        refused = ""
    except InputError as error:
        refused = str(error)
    return {"found": found, "attempts": list_attempts(folder), "refused": refused}


def hold_card(number, folder):
    """Say which cards this process was given, and between which moments; and what a cell would note of them."""
    begun, cards = time.time(), os.environ["CUDA_VISIBLE_DEVICES"]
    time.sleep(0.2)
    # There is no card here: torch answers by what it would see.
    with patch("torch.cuda.get_device_name", lambda device: f"card {cards} as {device}"):
        noted = describe_machine("cuda")["gpu"]
    return cards, begun, time.time(), noted


def try_shares(folder):
    """Units that take a card each, then half of one: two cards, and more workers than that."""
    import ray

    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init(address="local", num_cpus=6, num_gpus=2, object_store_memory=200 * 2**20, **quiet)
    engine = RayEngine(EngineOptions(workers=6, mixed_hardware=True))
    return {
        str(share): [outcome.result for outcome in engine.run(hold_card, list_units(engine, folder, 10, gpus=share))]
        for share in (1.0, 0.5)
    }


def try_address(folder):
    """A cluster that works already is joined by its address, and goes on afterwards."""
    engine = RayEngine(EngineOptions(address=os.environ["TRIAL_ADDRESS"]))
    found = run(engine, list_units(engine, folder))
    engine.close()
    again = RayEngine(EngineOptions(address=os.environ["TRIAL_ADDRESS"]))
    workers = again.workers
    again.close()
    return {"found": found, "workers": workers}


if __name__ == "__main__":
    # Functions are found by the name of this module in workers too.
    trials = import_module("tests.ray_trials")
    sys.stdout.write(json.dumps(getattr(trials, f"try_{sys.argv[1]}")(Path(sys.argv[2]))) + "\n")
    sys.stdout.flush()
    os._exit(0)  # a cluster that was joined takes long to end
