"""Check of a graph: what is to be known of it before scores on it are believed."""

from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np

from probing.tasks.graphs.corruption import find_corruptible
from probing.tasks.graphs.graph import Graph, KnownTriples, find_reversed, find_unseen

_TESTED = ("dev", "test")


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
    n_full: int
    """Triples of train that no other head or tail makes false."""

    def facts(self) -> dict[str, object]:
        """For a manifest."""
        return asdict(self)

    def lines(self, name: str) -> list[str]:
        """The counts in words; faults and cautions only where there are any."""
        n_test = self.n_true[1]
        found = [
            f"graph {name}: {self.n_train:,} triples in train, {self.n_true[0]:,} in dev, {n_test:,} in test; of test, "
            f"{self.n_reversed[1]:,} ({self.n_reversed[1] / n_test:.0%}) have their reverse in train"
        ]
        said = {
            "true triples of dev, of test stand in train too": self.n_shown,
            "triples that dev, that test calls false are true by another split": self.n_not_false,
            "true triples of dev, of test have an entity that train never shows": self.n_unseen,
        }
        found += [f"graph {name}: {a:,} and {b:,} {words}" for words, (a, b) in said.items() if a or b]
        others = {
            "triples of train were there twice, and count once": self.n_repeated,
            "entities have a text that another one has too": self.n_alike,
            "triples of train have no false neighbour, and get no negatives": self.n_full,
        }
        return found + [f"graph {name}: {n:,} {words}" for words, n in others.items() if n]


def check_graph(graph: Graph) -> GraphCheck:
    """Look at all splits of a graph."""
    train = KnownTriples(graph.true["train"], len(graph.entities), len(graph.relations))
    texts = Counter(graph.entity_texts)

    def count(triples: np.ndarray, known: KnownTriples) -> int:
        return int(known.contain(triples).sum()) if len(triples) else 0

    return GraphCheck(
        n_train=len(graph.true["train"]),
        n_true=tuple(len(graph.true[split]) for split in _TESTED),
        n_false=tuple(len(graph.false[split]) for split in _TESTED),
        n_repeated=graph.n_repeated,
        n_shown=tuple(count(graph.true[split], train) for split in _TESTED),
        n_not_false=tuple(count(graph.false[split], graph.known) for split in _TESTED),
        n_unseen=tuple(int(find_unseen(graph, split).sum()) for split in _TESTED),
        n_reversed=tuple(int(find_reversed(graph, split).sum()) for split in _TESTED),
        n_alike=sum(n for n in texts.values() if n > 1),
        n_full=int((~find_corruptible(graph.known, graph.true["train"])).sum()),
    )
