"""A folder of tab-separated files -> a graph; all of it is read, and the first fault ends the reading.

    train.tsv  head, relation, tail
    dev.tsv  test.tsv  the same, by choice with a fourth column: 1 for true, -1 for false
    entities.tsv  id, name and, by choice, a description
    relations.tsv  id, text

No header, no quoting; each may be gzipped (`train.tsv.gz`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from probing.records import SPLITS, InputError
from probing.tasks.files.entries import Fault
from probing.tasks.files.fields import find_text_fault
from probing.tasks.files.lines import read_lines
from probing.tasks.graphs.graph import RELATION, Graph, KnownTriples, Triples

TRUTH = {"1": True, "-1": False}
"""The fourth column of dev and test."""
_TEXTS = ("entities", "relations")
"""Stems of the files of texts."""
TEXTS = ("names", "descriptions")
"""Texts that an entity can have: its name, or its name and description."""


def read_graph(folder: Path, texts: str = "names") -> Graph:
    """The graph of a folder.

    Args:
        folder: with the five files.
        texts: one of `TEXTS`.

    Raises:
        InputError: a file that is missing, empty or has other columns; an entity or relation without text, or a
            relation that train never has.
    """
    entities = _read_texts(find_file(folder, "entities"), described=texts == "descriptions")
    relations = _read_texts(find_file(folder, "relations"), described=False)
    places = (
        {name: n for n, name in enumerate(entities)},
        {name: n for n, name in enumerate(relations)},
    )
    found = {split: _read_triples(find_file(folder, split), split, places) for split in SPLITS}
    _check_relations(folder, found, list(relations))
    true = {split: rows[truth] for split, (rows, truth) in found.items()}
    true["train"] = _drop_repeated(true["train"])
    return Graph(
        name=folder.resolve().name,
        entities=tuple(entities),
        entity_texts=tuple(entities.values()),
        relations=tuple(relations),
        relation_texts=tuple(relations.values()),
        true=true,
        false={split: rows[~truth] for split, (rows, truth) in found.items()},
        known=KnownTriples(np.concatenate([true[split] for split in SPLITS]), len(entities), len(relations)),
        origin=str(folder),
        n_repeated=len(found["train"][0]) - len(true["train"]),
    )


def is_graph_folder(folder: Path) -> bool:
    """True for a folder with triples and with texts of entities or relations, be it whole or not."""
    held = {path.name.removesuffix(".gz") for path in folder.iterdir()}
    return any(f"{stem}.tsv" in held for stem in SPLITS) and any(f"{stem}.tsv" in held for stem in _TEXTS)


def find_file(folder: Path, stem: str) -> Path:
    """The file of a folder, as it is or gzipped.

    Raises:
        InputError: there is neither, or there are both.
    """
    found = [path for end in (".tsv", ".tsv.gz") if (path := folder / f"{stem}{end}").is_file()]
    if len(found) == 1:
        return found[0]
    got = "both" if found else "neither"
    raise InputError(
        f"{folder}: expected {stem}.tsv or {stem}.tsv.gz, got {got}; a graph's folder has train, dev, test, entities "
        "and relations, see data/README.md"
    )


def _read_rows(path: Path, least: int, most: int, columns: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a file with their numbers."""
    empty = True
    for line in read_lines(path):
        if isinstance(line, Fault):
            raise InputError(f"{line.path}:{line.line}: {line.message}" if line.line else f"{path}: {line.message}")
        number, text = line
        fields = text.split("\t")
        if not least <= len(fields) <= most:
            raise InputError(f"{path}:{number}: expected {columns}, separated by tabs, got {len(fields)} column(s)")
        empty = False
        yield number, fields
    if empty:
        raise InputError(f"{path}: holds no rows; expected {columns}")


def _read_texts(path: Path, *, described: bool) -> dict[str, str]:
    """Id -> text, in the order of the file."""
    texts: dict[str, str] = {}
    for number, (name, *rest) in _read_rows(path, 1, 3, "id and text"):
        parts = [part.strip() for part in rest if part.strip()]
        if not rest or not rest[0].strip():
            raise InputError(f"{path}:{number}: {name!r} has no text; expected one in the second column")
        fault = next(filter(None, map(find_text_fault, parts)), "")
        if fault:
            raise InputError(f"{path}:{number}: the text of {name!r} {fault}")
        if name in texts:
            raise InputError(f"{path}:{number}: {name!r} stands there twice; expected each id once")
        texts[name] = ", ".join(parts if described else parts[:1])
    return texts


def _read_triples(
    path: Path, split: str, places: tuple[Mapping[str, int], Mapping[str, int]]
) -> tuple[Triples, np.ndarray]:
    """The triples of a file, and which of them are true."""
    entities, relations = places
    labelled = split != "train"
    columns = f"head, relation, tail{' and by choice 1 or -1' if labelled else ''}"
    rows, truth = [], []
    for number, fields in _read_rows(path, 3, 4 if labelled else 3, columns):
        for kind, table, name in (
            ("entity", entities, fields[0]),
            ("relation", relations, fields[1]),
            ("entity", entities, fields[2]),
        ):
            if name not in table:
                file = "entities.tsv" if kind == "entity" else "relations.tsv"
                raise InputError(f"{path}:{number}: {kind} {name!r} has no text: give it a row in {file}")
        mark = fields[3].strip() if len(fields) > 3 else "1"
        if mark not in TRUTH:
            raise InputError(f"{path}:{number}: expected 1 or -1 in the fourth column, got {mark!r}")
        rows.append((entities[fields[0]], relations[fields[1]], entities[fields[2]]))
        truth.append(TRUTH[mark])
    if not any(truth):
        raise InputError(f"{path}: holds no true triple; expected one at least")
    return np.array(rows, dtype=np.int64), np.array(truth, dtype=bool)


def _check_relations(folder: Path, found: Mapping[str, tuple[Triples, np.ndarray]], relations: list[str]) -> None:
    trained = set(found["train"][0][:, RELATION].tolist())
    for split in ("dev", "test"):
        foreign = sorted(set(found[split][0][:, RELATION].tolist()) - trained)
        if foreign:
            raise InputError(
                f"{find_file(folder, split)}: relation {relations[foreign[0]]!r} is never in train, as "
                f"{len(foreign)} of its relations; move some of their triples to train, or take them out"
            )


def _drop_repeated(triples: Triples) -> Triples:
    """Each triple where it stands first."""
    first = np.unique(triples, axis=0, return_index=True)[1]
    return triples[np.sort(first)]
