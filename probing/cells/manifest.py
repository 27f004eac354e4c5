"""Facts that a run keeps beside its numbers: machines, kernels, versions, encoder and tasks."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from probing.contracts.encoder import Encoder
from probing.probes.fused import explain_engine
from probing.progress import Reporter
from probing.records import SPLITS, Task
from probing.settings.run import RunSettings
from probing.store.environment import describe_environment
from probing.tables import CellResult


def describe_machines(results: Sequence[CellResult], reporter: Reporter) -> list[dict[str, Any]]:
    """The machines that computed the cells of a run, and how many each; a warning where they are of several kinds."""
    counts = Counter(tuple(sorted(result.machine.items())) for result in results if result.machine)
    machines = [dict(machine) | {"cells": count} for machine, count in counts.items()]
    kinds = {" with ".join(filter(None, (one["instruction_set"], one["gpu"]))) for one in map(dict, counts)}
    if len(kinds) > 1:
        reporter.warn(
            f"cells of this run were computed on machines of several kinds ({', '.join(sorted(kinds))}): "
            "their last digits may differ; --overwrite computes all of them here"
        )
    return machines


def describe_kernels(encoder: Encoder) -> dict[str, str]:
    """Describe which compiled engine does what, and why that one; or that torch does it, and what hinders kernels."""
    encoding = getattr(encoder, "backend_reason", f"{encoder.backend}, the encoder's own way")
    return {"encoding": encoding, "probes": explain_engine()}


def describe_run(settings: RunSettings, tasks: Sequence[Task], encoder: Encoder) -> dict[str, Any]:
    """Describe what the numbers depend on beside the settings: versions, machine, hashes."""
    return describe_environment() | {
        "device": encoder.device,
        "dtype": encoder.dtype,
        "backend": encoder.backend,
        "seeds": list(settings.seeds),
        "encoder": {
            "checkpoint": encoder.checkpoint,
            "revision": encoder.revision,
            "digest": encoder.digest,
            "layers": encoder.layer_names,
            "hidden_size": encoder.hidden_size,
            "hidden_sizes": encoder.hidden_sizes,
            "max_length": encoder.max_length,
        },
        "tasks": {
            task.name: {"origin": task.origin, "division": task.split_rule, "digest": task.digest}
            | {split: len(task.splits[split]) for split in SPLITS}
            for task in tasks
        },
    }
