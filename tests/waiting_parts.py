"""A probe, a pooling and a recipe that note who works, and one of which may be made to wait until it is killed.

Tests write this file into a package of someone else (`tests.helpers.install_parts`): notes, and the files that arm it,
stand beside it. Where `armed.KIND` stands there, the next part of that kind turns it into `waits.KIND.PID` and waits.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

from probing.probes.linear import LinearProbe
from probing.representations.pooling import pool_mean
from probing.training.data.labelled import LabelledData, load_labelled
from probing.training.plan import ModelPlan, Recipe, RunPlan
from probing.training.recipes.finetune import RANGES, TrainSettings, plan_stage

HERE = Path(__file__).parent
ARMED_STEP = 30
"""Step at which a training waits, if it is to."""


def note(kind, what):
    """Note who does something, when, and what."""
    with (HERE / f"{kind}s").open("a") as file:
        file.write(f"{os.getpid()} {time.time()} {what}\n")


def wait_if_armed(kind):
    """Wait for good at a named pipe, if one is to."""
    try:
        (HERE / f"armed.{kind}").rename(HERE / f"waits.{kind}.{os.getpid()}")
    except FileNotFoundError:
        return
    with (HERE / "pipe").open() as pipe:  # nobody writes there
        pipe.read()


def fail_if_told():
    """Fail once, where a file `fails` stands."""
    with suppress(FileNotFoundError):
        (HERE / "fails").unlink()
        raise RuntimeError("told to fail")


class WaitingProbe(LinearProbe):
    """The linear probe."""

    def fit(self, X, y, X_dev, y_dev):
        note("fit", f"{X.sum()}/{crc32(y.tobytes())}")
        wait_if_armed("fit")
        fail_if_told()
        return super().fit(X, y, X_dev, y_dev)


def pool_waiting(states, positions):
    """The mean over the chosen positions."""
    note("pool", crc32(states.float().numpy().tobytes()))
    wait_if_armed("pool")
    return pool_mean(states, positions)


class CountedData(LabelledData):
    """Batches of labelled sentences."""

    def batch(self, step):
        note("step", f"{self.seed}/{step}")
        if step == ARMED_STEP:
            wait_if_armed("step")
        return super().batch(step)


@dataclass(frozen=True)
class CountedSettings(TrainSettings):
    """Fine-tune."""

    recipe: str = "counted"


def plan(settings, origin, reporter):
    """One model per seed."""
    labelled = load_labelled(settings, origin, reporter)
    models = []
    for seed in settings.seeds:
        data = CountedData(labelled.splits["train"], settings.batch_size, seed)
        stage = replace(plan_stage("finetune", settings, labelled, seed), data=lambda start, data=data: data)
        models.append(ModelPlan(f"seed-{seed}", seed, (stage,)))
    return RunPlan(models, labelled.source)


RECIPE = Recipe(CountedSettings, plan, RANGES)
