"""Probe frozen encoders layer by layer, and on the learned mix of their layers.

The flow, and the room of each stage:

    text -> tokens -> hidden states -> pooled layer stack -> probe -> scores
    tasks    encoders                   representations      probes   scores

    pipeline         the story of a run, in a few calls      senteval_bridge  our encoders under the original engine
    preparing        a run before anything is computed: all that it needs, checked and read
    cells            one task on one representation: fitted, scored, measured, kept
    training         ways of making encoders: one loop, and the recipes that compose it
    registry         names of the parts that plug in         catalogue        tasks, controls, measures, once
    contracts        what a part must be                     settings         one field is one flag
    records          what travels between the stages         tables           what is written: the rows of result files
    store            cache, shards, run folders              atomic_files     files that are whole or absent
    folds            which sentence trains, chooses, tests   digests          short names of content
    bootstrap        resampling, and the intervals of it     sealed_json      JSON files that bear a checksum
    randomness       a stream of its own for each draw       memory           how much of it may still be taken
    kernels          C++ for encoding and probes             scalar_mix       the mix as a torch module
    progress         what the user sees while it works       suggestions      the nearest known name
    command_line     a command from its start: flags, files of settings, terminals
    exit_codes       how a command ends                      trackers         TensorBoard, Weights & Biases, MLflow, ...
    work             units of work, what an engine is        engines          this process, or a cluster
    cli              `bermo-probing NAME`                    commands         those that have no script
    draws            several encoders of one procedure, each probed
    api              the same from Python: `probing.run`, `probing.encode`
    sweeping         the runs of a sweep, by one engine      submitting       the same as jobs of a queue

The scripts: `run_senteval.py`, `build_tasks.py`, `train_encoder.py`, `replicate_bermo.py`, `run_sweep.py`.
Importing this package loads nothing else: the names below come from their modules when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probing.api import FinishedRun, encode, run
    from probing.records import InputError, LayerStack, Predictions, Split, Task, TaskSpec
    from probing.tables import Score

__version__ = "0.2.0"

__all__ = [
    "FinishedRun",
    "InputError",
    "LayerStack",
    "Predictions",
    "Score",
    "Split",
    "Task",
    "TaskSpec",
    "encode",
    "run",
]


_HOMES = {"Score": "probing.tables"} | dict.fromkeys(("FinishedRun", "encode", "run"), "probing.api")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "probing.records")), name)
