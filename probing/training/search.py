"""A stage that searches: candidates are scored by what an earlier stage trained, and the best are left for later ones.

Killed, it goes on at the generation that was not finished, to the same candidates and scores.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import pandas as pd
import torch
from accelerate.utils import broadcast_object_list

from probing.atomic_files import to_csv, write_atomically
from probing.digests import digest_json
from probing.encoders.checkpoints import find_checkpoint
from probing.randomness import derived_seed
from probing.tables import TrainingRow
from probing.training.artifacts import Finished, digest_folder
from probing.training.bench import Bench, Place
from probing.training.evolution import Scored
from probing.training.plan import ARCHITECTURE, Start
from probing.training.train import identify


def search_stage(bench: Bench, place: Place) -> Finished:
    """Search, from the start or from the generation that was stopped.

    Raises:
        InputError: what it starts from cannot be used.
    """
    stage = place.stage
    checkpoint = find_checkpoint(str(place.before[stage.start])) if stage.start else bench.origin.checkpoint
    start = Start(checkpoint, place.before)
    model: Any = stage.build(start, torch.Generator().manual_seed(derived_seed("head", place.seed)))
    search = stage.search(start, model.to(bench.accelerator.device), bench.accelerator)  # pyright: ignore
    done = read_state(place)
    with bench.reporter.stage(place.name, search.total, "candidates") as advance:
        advance(len(done))
        counted = [len(done)]

        def keep(found: Sequence[Scored]) -> None:
            if bench.accelerator.is_main_process:
                write_state(place, found)
            advance(len(found) - counted[0])
            counted[0] = len(found)

        found = search.seek(place.seed, done, keep)
    digest = [_leave(place, found, search.conclude(found)) if bench.accelerator.is_main_process else ""]
    columns = identify(bench, place) | {"layer": -1, "layer_name": ""}
    log = [TrainingRow(**columns, step=at, quantity=name, value=value) for at, name, value in search.list_log(found)]
    return Finished([], log, broadcast_object_list(digest)[0])


def read_state(place: Place) -> list[Scored]:
    """The generations that were finished; none where nothing was, or by another search."""
    try:
        content = json.loads(place.state.read_text(encoding="utf-8"))
        if content["key"] != place.key or content["digest"] != digest_json(content["rows"]):
            return []
        return [Scored(**(row | {"candidate": tuple(row["candidate"])})) for row in content["rows"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write_state(place: Place, found: Sequence[Scored]) -> None:
    """Keep the finished generations, whole or not at all."""
    rows = [asdict(one) | {"candidate": list(one.candidate)} for one in found]
    content = {"key": place.key, "digest": digest_json(rows), "rows": rows}
    write_atomically(place.state, json.dumps(content).encode())


def _leave(place: Place, found: Sequence[Scored], findings: Mapping[str, Any]) -> str:
    """Write the findings and all candidates that were scored; the digest of the folder."""
    part = place.artifact.with_name(f".{place.artifact.name}.{uuid4().hex}")
    rows = [asdict(one) | {"candidate": " ".join(map(str, one.candidate))} for one in found]
    try:
        write_atomically(part / ARCHITECTURE, json.dumps(findings, indent=1).encode())
        write_atomically(part / "candidates.csv", to_csv(pd.DataFrame(rows)))
        shutil.rmtree(place.artifact, ignore_errors=True)
        part.rename(place.artifact)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return digest_folder(place.artifact)
