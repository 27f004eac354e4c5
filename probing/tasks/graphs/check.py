"""Check of a graph: what is to be known of it before scores on it are believed."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from jaxtyping import Bool

from probing.tasks.graphs.corruption import find_corruptible
from probing.tasks.graphs.graph import Graph, KnownTriples, Triples, find_reversed, find_unseen

TESTED = ("dev", "test")
_SHOWN = 3
"""Number of examples that are given of one kind of finding."""
_FAULTS = {
    "n_shown": "true triples of {split} stand in train too",
    "n_not_false": "triples that {split} calls false are true by another split or by itself",
}
"""Counts of what has to be mended, by split."""
_CAUTIONS = {
    "n_unseen": "true triples of {split} have an entity that train never shows",
}
_OF_ALL = {
    "n_repeated": "triples of train were there before, and count once",
    "n_alike": "entities have a text that another one has too",
    "n_alike_relations": "relations have a text that another one has too",
    "n_full": "triples of train have no false neighbour, and get no negatives",
}


@dataclass(frozen=True)
class GraphCheck:
    """Counts that a graph's scores rest on; those of dev and test are in this order."""

    n_train: int
    n_true: tuple[int, ...]
    n_false: tuple[int, ...]
    """Given by the source."""
    n_repeated: int
    """Triples of train that stood there before."""
    n_shown: tuple[int, ...]
    """True triples that are in train too."""
    n_not_false: tuple[int, ...]
    """False triples that some split calls true."""
    n_unseen: tuple[int, ...]
    """True triples with an entity that train never shows: of it, embeddings know nothing."""
    n_reversed: tuple[int, ...]
    """True triples whose head and tail some triple of train joins the other way round."""
    n_alike: int
    """Entities whose text another one has too: by text they are one."""
    n_alike_relations: int
    """Relations, likewise."""
    n_full: int
    """Triples of train that no other head or tail makes false."""
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Name of a count, and behind it the split where there is one -> the first few of what it counts."""

    def facts(self) -> dict[str, object]:
        """The counts, for a manifest."""
        return {name: value for name, value in asdict(self).items() if name != "examples"}

    def lines(self, name: str) -> list[str]:
        """The counts in words; faults and cautions only where there are any."""
        n_test = self.n_true[1]
        head = (
            f"{self.n_train:,} triples in train, {self.n_true[0]:,} in dev, {n_test:,} in test; of test, "
            f"{self.n_reversed[1]:,} ({self.n_reversed[1] / n_test:.0%}) have their reverse in train"
        )
        return [f"graph {name}: {line}" for line in (head, *self.faults, *self.cautions)]

    @property
    def faults(self) -> list[str]:
        """Lines about what makes scores wrong."""
        return list(self._list_splits(_FAULTS))

    @property
    def cautions(self) -> list[str]:
        """Lines about what makes scores easy or hard."""
        return [*self._list_splits(_CAUTIONS), *self._list_all()]

    def _list_splits(self, kinds: Mapping[str, str]) -> Iterator[str]:
        for key, words in kinds.items():
            for split, n in zip(TESTED, getattr(self, key), strict=True):
                if n:
                    yield f"{n:,} {words.format(split=split)}{self._show(f'{key} {split}')}"

    def _list_all(self) -> Iterator[str]:
        for key, words in _OF_ALL.items():
            if n := getattr(self, key):
                yield f"{n:,} {words}{self._show(key)}"

    def _show(self, key: str) -> str:
        return f", such as {'; '.join(found)}" if (found := self.examples.get(key)) else ""


def check_graph(graph: Graph) -> GraphCheck:
    """Look at all splits of a graph."""
    train = KnownTriples(graph.true["train"], len(graph.entities), len(graph.relations))
    places = {
        "n_shown": {split: _find_known(graph.true[split], train) for split in TESTED},
        "n_not_false": {split: _find_known(graph.false[split], graph.known) for split in TESTED},
        "n_unseen": {split: find_unseen(graph, split) for split in TESTED},
    }
    counts = {key: tuple(int(found.sum()) for found in own.values()) for key, own in places.items()}
    alike = {
        "n_alike": find_alike(graph.entities, graph.entity_texts),
        "n_alike_relations": find_alike(graph.relations, graph.relation_texts),
    }
    full = ~find_corruptible(graph.known, graph.true["train"])
    tables = {"n_shown": graph.true, "n_not_false": graph.false, "n_unseen": graph.true}
    examples = {
        f"{key} {split}": _name_triples(graph, tables[key][split][found])
        for key, own in places.items()
        for split, found in own.items()
    }
    return GraphCheck(
        n_train=len(graph.true["train"]),
        n_true=tuple(len(graph.true[split]) for split in TESTED),
        n_false=tuple(len(graph.false[split]) for split in TESTED),
        n_repeated=graph.n_repeated,
        n_reversed=tuple(int(find_reversed(graph, split).sum()) for split in TESTED),
        n_full=int(full.sum()),
        **counts,
        n_alike=sum(map(len, alike["n_alike"].values())),
        n_alike_relations=sum(map(len, alike["n_alike_relations"].values())),
        examples=examples
        | {
            key: [f"{text!r} ({' '.join(ids[:_SHOWN])})" for text, ids in found.items()][:_SHOWN]
            for key, found in alike.items()
        }
        | {"n_full": _name_triples(graph, graph.true["train"][full])},
    )


def find_alike(names: Sequence[str], texts: Sequence[str]) -> dict[str, list[str]]:
    """Texts that several of these names have, the most common first -> the names."""
    counts = Counter(texts)
    found: dict[str, list[str]] = {text: [] for text, n in counts.most_common() if n > 1}
    for name, text in zip(names, texts, strict=True):
        if text in found:
            found[text].append(name)
    return found


def _find_known(triples: Triples, known: KnownTriples) -> Bool[np.ndarray, " triples"]:
    return known.contain(triples) if len(triples) else np.zeros(0, dtype=bool)


def _name_triples(graph: Graph, triples: Triples) -> list[str]:
    """The first few triples by their ids, as their file has them."""
    names = (graph.entities, graph.relations, graph.entities)
    return [
        " ".join(own[number] for own, number in zip(names, triple, strict=True)) for triple in triples[:_SHOWN].tolist()
    ]
