"""TransE, DistMult and RotatE: a vector for each entity and relation, learned from triples alone.

The loss is that of RotatE (Sun et al. 2019, arXiv 1902.10197, equations 4 and 5) for all of them: negative samples,
weighted by their own scores. Negatives are not filtered, as there.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from probing.randomness import derived_seed
from probing.tasks.graphs.graph import HEAD, SIDES, Graph, Triples
from probing.training.baselines.kinds import KINDS

_BLOCK = 2**18
"""Triples that are scored at once."""
_START = 0.1
"""Standard deviation of an entity's numbers before training."""


@dataclass(frozen=True)
class EmbeddingSettings:
    """Settings of the learning of vectors."""

    steps: int = 4000
    size: int = 100
    """Numbers of an entity's vector."""
    batch_size: int = 512
    n_false: int = 16
    """Negatives of each triple, which share head or tail with it."""


class EmbeddingScore:
    """Vectors that score triples.

    Args:
        kind: a key of `KINDS`.
        graph: whose entities and relations get vectors, drawn from `seed`.
        size: numbers of an entity's vector; even, where they are complex.
        seed: of the start.
        device: where they stand.
    """

    def __init__(self, kind: str, graph: Graph, size: int, seed: int, device: torch.device | str = "cpu"):
        self.kind, generator = KINDS[kind], torch.Generator().manual_seed(derived_seed("embeddings", seed))
        entities = torch.empty(len(graph.entities), size).normal_(0, _START, generator=generator)
        relations = torch.empty(len(graph.relations), size // self.kind.share)
        relations.normal_(0, self.kind.relation_start, generator=generator)
        self.entities, self.relations = (nn.Parameter(table.to(device)) for table in (entities, relations))

    def parts(self, triples: Int[Tensor, "*batch 3"]) -> list[Float[Tensor, "*batch _"]]:
        """The vectors of heads, relations and tails."""
        heads, relations, tails = triples.unbind(-1)
        return [
            F.embedding(heads, self.entities),
            F.embedding(relations, self.relations),
            F.embedding(tails, self.entities),
        ]

    @torch.inference_mode()
    def __call__(self, triples: Triples) -> Float[np.ndarray, " triples"]:
        """The score of each triple."""
        blocks = torch.from_numpy(triples).to(self.entities.device).split(_BLOCK)
        return np.concatenate([self.kind.score(*self.parts(block)).cpu().numpy() for block in blocks])


def train_embeddings(
    kind: str, graph: Graph, settings: EmbeddingSettings, seed: int, device: torch.device | str = "cpu"
) -> EmbeddingScore:
    """Vectors learned from the triples of train; the rate of Adam falls to 0 linearly."""
    vectors = EmbeddingScore(kind, graph, settings.size, seed, device)
    generator = torch.Generator(device).manual_seed(derived_seed("triples", seed))
    optimiser = torch.optim.Adam([vectors.entities, vectors.relations], lr=vectors.kind.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 1e-3, settings.steps)
    train = torch.from_numpy(graph.true["train"]).to(device)
    for step in range(settings.steps):
        rows = torch.randint(len(train), (settings.batch_size,), device=device, generator=generator)
        optimiser.zero_grad()
        compute_loss(vectors, train[rows], settings.n_false, SIDES[step % 2], generator).backward()
        optimiser.step()
        schedule.step()
    return vectors


def compute_loss(
    vectors: EmbeddingScore, true: Int[Tensor, "batch 3"], n_false: int, side: int, generator: torch.Generator
) -> Float[Tensor, ""]:
    """-log sigmoid(margin + s) of true triples, and of -s - margin of false ones, these weighted by softmax(s)."""
    kind, n_entities = vectors.kind, len(vectors.entities)
    others = torch.randint(n_entities, (len(true), n_false), device=true.device, generator=generator)
    head, relation, tail = vectors.parts(true)
    drawn = F.embedding(others, vectors.entities)
    sides = (drawn, relation[:, None], tail[:, None]) if side == HEAD else (head[:, None], relation[:, None], drawn)
    good, bad = kind.score(head, relation, tail), kind.score(*sides)
    weights = bad.detach().softmax(dim=1)
    loss = -(F.logsigmoid(kind.margin + good) + (weights * F.logsigmoid(-bad - kind.margin)).sum(1)).mean() / 2
    squares = [part.square().sum(-1).mean() for part in (head, relation, tail)]
    return loss + kind.decay * torch.stack(squares).sum()
