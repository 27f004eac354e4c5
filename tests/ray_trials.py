"""Trials of the engine over Ray, each in a process of its own, by `main`.

Units write who computes them into the folder; what a trial finds is printed as JSON.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from threading import Thread
from unittest.mock import patch

from probing.engines.ray import RayEngine
from probing.records import InputError
from probing.store.environment import describe_machine
from probing.work import EngineOptions, Unit

ENDS = 300
"""Early ends, of which Ray bore some 20 when it was asked to end what had just ended."""
QUIET_S = 100.0
"""Longer than Ray bears who asks too often whether a worker is still there."""


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


def open_with_cards(number):
    """More workers than a node has cards, which are not there: nothing looks for them."""
    os.environ["RAY_OVERRIDE_RESOURCES"] = json.dumps({"GPU": number})
    return RayEngine(EngineOptions(workers=6, mixed_hardware=True))


def try_actor(folder):
    """Units on a GPU have a process that lives on from unit to unit; when it is killed, another takes its unit."""
    (folder / "armed.0").touch()
    engine = open_with_cards(1)
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
    return cards, begun, time.time(), noted, os.getpid()


def try_shares(folder):
    """Units that take a card each, then parts of one, in order: two cards, and more workers than that."""
    engine = open_with_cards(2)
    found = {}
    for share in (1.0, 0.5, 0.4):
        outcomes = engine.run(hold_card, list_units(engine, folder, 10, gpus=share))
        found[str(share)] = [one.result for one in sorted(outcomes, key=lambda one: one.unit.payload)]
    return found


def try_address(folder):
    """A cluster that works already is joined by its address, and goes on afterwards."""
    engine = RayEngine(EngineOptions(address=os.environ["TRIAL_ADDRESS"]))
    found = run(engine, list_units(engine, folder))
    engine.close()
    again = RayEngine(EngineOptions(address=os.environ["TRIAL_ADDRESS"]))
    workers = again.workers
    again.close()
    return {"found": found, "workers": workers}


def try_plain(folder):
    """A cluster is started, works, and ends."""
    engine = RayEngine(EngineOptions(workers=2))
    found = run(engine, list_units(engine, folder))
    engine.close()
    return {"found": found}


def try_ends(folder):
    """Runs that end in a unit's error: how many did."""
    engine, ended = RayEngine(EngineOptions(workers=1)), 0
    for _ in range(ENDS):
        try:
            run(engine, list_units(engine, folder, 1), spoil)
        except ValueError:
            ended += 1
    return {"ended": ended, "runs": ENDS}


def rest(seconds, folder):
    time.sleep(seconds)
    return os.getpid()


def try_quiet(folder):
    """Units of which nothing is heard for long, by a cluster that was not started here: who has computed them."""
    engine = RayEngine(EngineOptions(address=os.environ["TRIAL_ADDRESS"], retries=0))
    handle = engine.share(folder)
    units = [Unit(f"unit {number}", 1.0, QUIET_S, handle) for number in range(2)]
    return {"found": [getattr(outcome, "result", None) for outcome in engine.run(rest, units)]}


def main():
    """Do one trial."""
    name, folder = sys.argv[1:]
    sys.stdout.write(json.dumps(globals()[f"try_{name}"](Path(folder))) + "\n")
    sys.stdout.flush()
    os._exit(0)  # a cluster that was joined takes long to end
