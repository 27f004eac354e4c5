"""Frequencies by hand; embeddings whose loss is the paper's, and which learn what they can hold."""

import numpy as np
import pytest
import torch

from probing.tasks.graphs.graph import Graph, KnownTriples
from probing.tasks.graphs.sources import load_graph
from probing.training.baselines.embeddings import (
    EmbeddingScore,
    EmbeddingSettings,
    compute_loss,
    train_embeddings,
)
from probing.training.baselines.frequency import FrequencyScore
from probing.training.baselines.kinds import KINDS, score_rotation
from probing.training.evaluation.ranking import list_queries, measure_ranks, rank_queries


def make_graph(train, n_entities=6):
    triples = np.array(train, dtype=np.int64)
    names = tuple(f"e{n}" for n in range(n_entities))
    splits = {"train": triples, "dev": triples[:1], "test": triples}
    known = KnownTriples(triples[:0] if not len(triples) else triples, n_entities, 2)
    return Graph("g", names, names, ("r", "s"), ("r", "s"), splits, {}, known)


def test_frequencies_are_counts_of_train():
    score = FrequencyScore(make_graph([(0, 0, 1), (0, 0, 2), (3, 0, 1), (0, 1, 1)]))
    found = score(np.array([(0, 0, 1), (3, 0, 2), (5, 1, 1)]))
    expected = [
        np.log(2.1) + np.log(2.1) - np.log(3.1),
        np.log(1.1) + np.log(1.1) - np.log(3.1),
        np.log(0.1) + np.log(1.1) - np.log(1.1),
    ]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_and_loss_are_those_of_the_formulas(kind):
    graph = make_graph([(0, 0, 1), (2, 1, 3)])
    vectors = EmbeddingScore(kind, graph, 4, 0)
    entities, relations = (part.detach().double().numpy() for part in (vectors.entities, vectors.relations))

    turned = entities[:, :2] + 1j * entities[:, 2:]  # RotatE's entities as complex numbers
    assert relations.shape == (2, 2 if kind == "rotate" else 4)

    def score(h, r, t):
        if kind == "transe":
            return -np.abs(entities[h] + relations[r] - entities[t]).sum()
        if kind == "rotate":
            return -np.abs(turned[h] * np.exp(1j * relations[r]) - turned[t]).sum()
        return (entities[h] * relations[r] * entities[t]).sum()

    triples = np.array([(0, 0, 1), (2, 1, 3)])
    np.testing.assert_allclose(vectors(triples), [score(*triple) for triple in triples], rtol=1e-5)
    others = torch.randint(6, (2, 3), generator=torch.Generator().manual_seed(0)).numpy()
    found = compute_loss(vectors, torch.from_numpy(triples), 3, 2, torch.Generator().manual_seed(0))
    margin, terms = KINDS[kind].margin, []
    for (h, r, t), drawn in zip(triples, others, strict=True):
        bad = np.array([score(h, r, other) for other in drawn])
        weights = np.exp(bad) / np.exp(bad).sum()
        good = np.log1p(np.exp(-(margin + score(h, r, t))))
        terms.append((good + (weights * np.log1p(np.exp(bad + margin))).sum()) / 2)
    squares = sum(
        np.mean([(table[row] ** 2).sum() for row in triples[:, column]])
        for column, table in ((0, entities), (1, relations), (2, entities))
    )
    assert found.item() == pytest.approx(np.mean(terms) + KINDS[kind].decay * squares, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_pykeen_gives_the_same_scores(kind):
    """Its RotatE takes the length of the whole complex vector: of one dimension that is the modulus, summed here."""
    modules = pytest.importorskip("pykeen.nn.modules")
    generator = torch.Generator().manual_seed(0)
    heads, tails = torch.randn(2, 5, 8, generator=generator)
    relations = torch.randn(5, 8 // KINDS[kind].share, generator=generator)
    if kind == "rotate":
        turned = [torch.complex(*half.chunk(2, dim=-1)) for half in (heads, tails)]
        parts = turned[0], torch.polar(torch.ones(5, 4), relations), turned[1]
        theirs = sum(modules.RotatEInteraction()(*(part[:, [n]] for part in parts)) for n in range(4))
    else:
        theirs = (modules.TransEInteraction(p=1) if kind == "transe" else modules.DistMultInteraction())(
            heads, relations, tails
        )
    torch.testing.assert_close(KINDS[kind].score(heads, relations, tails), theirs)


def test_a_rotation_holds_lengths_and_turns_back():
    generator = torch.Generator().manual_seed(0)
    heads, angles = torch.randn(3, 6, generator=generator), torch.randn(3, 3, generator=generator)
    origin = torch.zeros(3, 6)
    torch.testing.assert_close(score_rotation(heads, angles, origin), score_rotation(heads, 0 * angles, origin))
    tails = torch.randn(3, 6, generator=generator)
    torch.testing.assert_close(score_rotation(heads, angles, tails), score_rotation(tails, -angles, heads))


def test_a_head_turned_onto_its_tail_has_a_gradient_that_is_a_number():
    heads = torch.randn(2, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    score_rotation(heads, torch.zeros(2, 3), heads.detach()).sum().backward()
    assert heads.grad is not None
    assert torch.equal(heads.grad, torch.zeros(2, 6))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_learned_stands_first_and_what_was_not_does_not(kind):
    graph = load_graph("made").limit(0, 60)
    settings = EmbeddingSettings(steps=250, size=32, batch_size=64, n_false=8)
    learned, drawn = train_embeddings(kind, graph, settings, 0), EmbeddingScore(kind, graph, 32, 0)

    def mrr(score):
        train = graph.true["train"][:60]
        return measure_ranks(rank_queries(list_queries(graph, train, 2), 60, score)[:, None])["mrr"].mean()

    assert mrr(learned) > 3 * mrr(drawn)


def test_a_seed_repeats_itself():
    graph, settings = load_graph("made"), EmbeddingSettings(steps=5, size=8, batch_size=16, n_false=2)
    one, two, other = (train_embeddings("transe", graph, settings, seed)(graph.true["dev"]) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.slow
def test_transe_is_at_its_published_level_on_umls(corpora_umls):
    """Hits@10 of .989 in KG-BERT's table (arXiv 1909.03193), here with realistic ranks."""
    from probing.training.evaluation.ranking import list_sides

    vectors, test = train_embeddings("transe", corpora_umls, EmbeddingSettings(), 0), corpora_umls.true["test"]
    ranks = np.stack([rank_queries(side, len(test), vectors) for side in list_sides(corpora_umls, test)], axis=1)
    assert measure_ranks(ranks)["hits_at_10"].mean() > 0.97


@pytest.fixture
def corpora_umls():
    import os
    from pathlib import Path

    folder = Path(os.environ.get("PROBING_CORPORA", "/none")) / "graphs" / "umls"
    if not folder.is_dir():
        pytest.skip("PROBING_CORPORA holds no graphs/umls")
    return load_graph(str(folder))
