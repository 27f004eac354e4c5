"""A stage that writes: a table of sentences, made in parts, from which later stages learn.

Killed, it goes on at the parts that were not finished, to the same table.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from accelerate.utils import broadcast_object_list

from probing.atomic_files import write_atomically
from probing.digests import digest_json
from probing.encoders.checkpoints import find_checkpoint
from probing.tables import TrainingRow
from probing.training.artifacts import Finished, digest_folder
from probing.training.bench import Bench, Place
from probing.training.contracts import Written
from probing.training.data.generated import drop_known, make_written, write_table
from probing.training.plan import Start, Writing
from probing.training.train import identify


def generate_stage(bench: Bench, place: Place) -> Finished:
    """Write the texts, from the start or from the parts that are there.

    Raises:
        InputError: what it starts from cannot be used.
    """
    stage = place.stage
    writing: Writing = stage.writing  # pyright: ignore
    checkpoint = find_checkpoint(str(place.before[stage.start])) if stage.start else bench.origin.checkpoint
    write, accelerator = writing.write(Start(checkpoint, place.before), bench.accelerator), bench.accelerator
    with bench.reporter.stage(place.name, writing.n_parts, "parts") as advance:
        for number in range(writing.n_parts):
            mine = number % accelerator.num_processes == accelerator.process_index
            if mine and read_part(place, number) is None:
                write_part(place, number, write(number))
            advance(1)
    accelerator.wait_for_everyone()
    left: list[Any] = [_leave(place, writing) if accelerator.is_main_process else ("", {})]
    artifact, facts = broadcast_object_list(left)[0]
    bench.reporter.note(place.name, **facts)
    columns = identify(bench, place) | {"step": 0, "layer": -1, "layer_name": ""}
    return Finished([], [TrainingRow(**columns, quantity=name, value=value) for name, value in facts.items()], artifact)


def find_parts(place: Place) -> Path:
    """The folder of the parts of a table that is not finished."""
    return place.cell.with_suffix(".parts")


def read_part(place: Place, number: int) -> list[Written] | None:
    """A part that was finished; none where it was not, or for another table."""
    try:
        content = json.loads((find_parts(place) / f"{number}.json").read_text(encoding="utf-8"))
        if content["key"] != place.key or content["digest"] != digest_json(content["rows"]):
            return None
        return [make_written(row) for row in content["rows"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_part(place: Place, number: int, rows: Sequence[Written]) -> None:
    """Keep a finished part, whole or not at all."""
    values = [asdict(row) for row in rows]
    content = {"key": place.key, "digest": digest_json(values), "rows": values}
    write_atomically(find_parts(place) / f"{number}.json", json.dumps(content).encode())


def _leave(place: Place, writing: Writing) -> tuple[str, dict[str, float]]:
    """Write the table of all parts; the digest of its folder, and what is to be logged of it."""
    parts = [read_part(place, number) or [] for number in range(writing.n_parts)]
    found = [row for part in parts for row in part]
    rows, n_dropped = drop_known(found, writing.known)
    facts = {"written": float(len(rows)), "duplicates": float(n_dropped)}
    facts |= {"left_out": float(writing.n_wanted - len(found))} if writing.n_wanted else {}
    part = place.artifact.with_name(f".{place.artifact.name}.{uuid4().hex}")
    try:
        write_table(part, rows)
        if writing.export is not None:
            writing.export(rows, part)
        shutil.rmtree(place.artifact, ignore_errors=True)
        part.rename(place.artifact)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(find_parts(place), ignore_errors=True)
    return digest_folder(place.artifact), facts
