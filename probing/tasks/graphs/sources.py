"""Sources of graphs: made by rules, a copy in an installed package, or a folder."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from probing.records import SPLITS, InputError
from probing.tasks.graphs.folder import is_graph_folder, read_graph
from probing.tasks.graphs.graph import Graph, KnownTriples, Triples
from probing.tasks.graphs.made import list_triples, split_triples

MADE = "made"
COPIES = ("kinships", "nations", "umls")
"""Graphs of which the package pykeen (MIT) carries copies; their ids are the texts that there are."""
_FILES = {"train": "train.txt", "dev": "valid.txt", "test": "test.txt"}


def load_graph(name: str, texts: str = "names", flag: str = "--graph") -> Graph:
    """The graph of that name, or of that folder.

    Args:
        name: `made`, one of `COPIES`, or a folder.
        texts: as `read_graph`.
        flag: that named it, for what is said of it.

    Raises:
        InputError: there is no such graph, or it cannot be used.
    """
    if name == MADE:
        return _build(MADE, split_triples(list_triples()), "made by rules")
    if name in COPIES:
        return _load_copy(name, flag)
    if not _is_folder(name):
        raise InputError(f"{flag} {name[:80]}: no such folder; expected one, {MADE}, or {', '.join(COPIES)}")
    return read_graph(Path(name).expanduser(), texts)


def is_graph(name: str) -> bool:
    """True for what `load_graph` takes."""
    return name in (MADE, *COPIES) or (_is_folder(name) and is_graph_folder(Path(name).expanduser()))


def _is_folder(name: str) -> bool:
    try:
        return bool(name) and Path(name).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):
        # A name too long, a home that nobody has, a character that no path may hold.
        return False


def _load_copy(name: str, flag: str) -> Graph:
    spec = find_spec("pykeen")
    if spec is None or spec.origin is None:
        raise InputError(
            f"{flag} {name}: its copy comes with a package that is not installed: pip install 'bermo-probing[kg]', or "
            f"name a folder (data/README.md), or {MADE}"
        )
    folder = Path(spec.origin).parent / "datasets" / name
    triples = {
        split: [tuple(line.split("\t")) for line in (folder / file).read_text(encoding="utf-8").splitlines()]
        for split, file in _FILES.items()
    }
    return _build(name, triples, str(folder))


def _build(name: str, triples: dict[str, list[tuple[str, ...]]], origin: str) -> Graph:
    """A graph whose texts are its ids, with blanks for underscores."""
    rows = [triple for split in SPLITS for triple in triples[split]]
    entities = tuple(sorted({triple[side] for triple in rows for side in (0, 2)}))
    relations = tuple(sorted({triple[1] for triple in rows}))
    places = ({one: n for n, one in enumerate(entities)}, {one: n for n, one in enumerate(relations)})

    def number(split: str) -> Triples:
        return np.array([(places[0][h], places[1][r], places[0][t]) for h, r, t in triples[split]], dtype=np.int64)

    true = {split: number(split) for split in SPLITS}
    return Graph(
        name=name,
        entities=entities,
        entity_texts=tuple(one.replace("_", " ") for one in entities),
        relations=relations,
        relation_texts=tuple(one.replace("_", " ") for one in relations),
        true=true,
        false={split: np.empty((0, 3), dtype=np.int64) for split in SPLITS},
        known=KnownTriples(np.concatenate([true[split] for split in SPLITS]), len(entities), len(relations)),
        origin=origin,
    )
