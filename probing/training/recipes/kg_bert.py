"""KG-BERT (Yao et al. 2019, arXiv 1909.03193): triples of a graph read as texts.

    classification, links:  [CLS] head [SEP] relation [SEP] tail [SEP]   types 0, 1, 0   -> false or true
    relations:              [CLS] head [SEP] tail [SEP]                  types 0, 1      -> a relation

Cross-entropy over two labels, as the authors' code has it; negatives are drawn anew in each epoch, and never known to
be true by any split (the code draws once, and looks at train alone).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from probing.digests import digest_json
from probing.encoders.inputs import ModelInputs
from probing.encoders.tiny_checkpoints import write_bert
from probing.encoders.unknown_words import describe_unknown_texts
from probing.memory import find_room
from probing.progress import Reporter
from probing.randomness import stream
from probing.records import InputError, Split
from probing.settings.checks import ABOVE_0, FROM_0, Range, check_repeats
from probing.settings.idle import Need
from probing.settings.training import RecipeSettings
from probing.tasks.graphs.check import check_graph
from probing.tasks.graphs.corruption import corrupt
from probing.tasks.graphs.graph import HEAD, RELATION, TAIL, Graph
from probing.tasks.graphs.sources import load_graph
from probing.training.baselines.plan import plan_baselines
from probing.training.data.labelled import LabelledData, TokenisedSplit
from probing.training.data.triples import TripleData, TripleExamples, TripleTokens
from probing.training.evaluation.ranking import list_sides
from probing.training.evaluation.relations import RelationTask
from probing.training.evaluation.triple_models import RelationEvaluation, TripleEvaluation
from probing.training.evaluation.triples import LabelledTriples, TripleTask
from probing.training.objectives.supervised import compute_loss
from probing.training.plan import ModelPlan, Origin, Recipe, RunPlan, Source
from probing.training.recipes import finetune
from probing.training.recipes.finetune import build_for_classes, make_stage
from probing.training.recipes.rank_budget import check_rank_budget

TASKS = ("classification", "links", "relations")
LABELS = ("false", "true")
_NEGATIVES = {"classification": 1, "links": 5}
"""False triples beside each true one, as in the paper."""
_FALSE_BYTES = 200
"""Of a false triple while an epoch's are drawn, put in order and tokenised; measured 125 while they are drawn."""
_OPTIMISER = (
    *("epochs", "max_steps", "batch_size", "accumulation_steps", "learning_rate", "mix_learning_rate"),
    *("weight_decay", "warmup_share", "max_grad_norm", "dropout"),
)


@dataclass(frozen=True)
class KgBertSettings(RecipeSettings):
    """Fine-tune an encoder on the triples of a knowledge graph (KG-BERT, arXiv 1909.03193)."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "model and graph": (
            *("recipe", "model", "checkpoint", "graph", "task", "texts", "negatives", "seeds"),
            *("limit", "limit_dev", "max_length", "freeze_up_to"),
        ),
        "ranking and baselines": ("candidates", "rank_budget", "baselines", "baseline_steps"),
        "optimiser": _OPTIMISER,
        **RecipeSettings.GROUPS,
    }
    """Flags that `--help` shows together."""
    WITHOUT_EFFECT: ClassVar[tuple[str, ...]] = (*RecipeSettings.WITHOUT_EFFECT, "rank_budget")
    """Settings that move no number."""

    recipe: str = "kg_bert"
    """The way of training, such as kg_bert or finetune."""
    model: str = "bert"
    """Model whose head is trained: bert (reads the last layer, as the paper's) or bermo (the mix of all layers)."""
    graph: str = "made"
    """The graph: made (a small one by rules), kinships, nations or umls (copies in the package pykeen), or a folder
    with train, dev, test, entities and relations as .tsv or .tsv.gz."""
    task: Literal["classification", "links", "relations"] = "classification"
    """Task: classification (true or false triples), links (the missing head or tail, ranked among all entities) or
    relations (the relation of two entities, ranked among all)."""
    texts: Literal["names", "descriptions"] = "names"
    """Text of an entity: its name, or its name and description."""
    negatives: int = 0
    """False triples beside each true one, new in each epoch; 0 takes the paper's 1 for classification, 5 for links."""
    limit: int = 0
    """At most this many training triples, the same ones for every seed; 0 takes all."""
    limit_dev: int = 0
    """At most this many true triples of dev and of test, and as many false ones; 0 takes all."""
    candidates: int = 0
    """False candidates that a triple is ranked among, drawn; 0 takes all entities. Metrics then end in _sampled_N."""
    rank_budget: float = 60.0
    """Minutes that the ranking of all seeds may take, as reckoned before training; more is refused."""
    baselines: tuple[Literal["frequency", "transe", "distmult", "rotate"], ...] = (
        *("frequency", "transe", "distmult", "rotate"),
    )
    """Answers without a text, scored beside the models; none: --baselines without a name."""
    baseline_steps: int = 4000
    """Steps that TransE, DistMult and RotatE are trained for, with 512 triples each."""
    learning_rate: float = 5e-5
    """Of AdamW, at its highest. The paper's."""
    mix_learning_rate: float = 1e-2
    """Of the mix's weights and gamma, which have no decay."""
    batch_size: int = 32
    """Triples per optimiser step, true and false, over all processes."""


RANGES: Mapping[str, Range] = {
    **finetune.RANGES,
    "negatives": FROM_0,
    "candidates": FROM_0,
    "rank_budget": ABOVE_0,
    "baseline_steps": ABOVE_0,
}

NEEDS = (
    finetune.OF_MIX,
    Need(("rank_budget",), "without --task links", lambda settings: settings.task == "links"),
    Need(
        ("baseline_steps",),
        "without transe, distmult or rotate among --baselines",
        lambda settings: bool({*settings.baselines} - {"frequency"}),
    ),
)


def check(settings: KgBertSettings) -> None:
    """Refuse settings that do not go together.

    Raises:
        InputError: naming the flags, and what they expect.
    """
    check_repeats(settings, ("baselines",))
    if settings.task not in TASKS:
        raise InputError(f"--task {settings.task}: expected {', '.join(TASKS)}")
    if settings.candidates and settings.task != "links":
        raise InputError(f"--candidates {settings.candidates}: entities are ranked with --task links alone")
    if settings.negatives and settings.task == "relations":
        raise InputError(f"--negatives {settings.negatives}: --task relations has none; leave it away")


def plan(settings: KgBertSettings, origin: Origin, reporter: Reporter) -> RunPlan:
    """One model per seed, and baselines.

    Raises:
        InputError: a graph that cannot be used, or a ranking that takes too long.
    """
    inputs = ModelInputs(origin.tokenizer, origin.config, origin.limit)
    inputs.count_marks(2 if settings.task == "relations" else 3)  # refuses a limit that is too low for them
    whole = load_graph(settings.graph, settings.texts)
    found = check_graph(whole)
    head, *cautions = found.lines(whole.name)
    reporter.say(head)
    for line in cautions:
        reporter.warn(line)
    texts = [(text,) for text in whole.entity_texts]
    for line in describe_unknown_texts(inputs, origin.checkpoint.name, f"graph {whole.name}", texts):
        reporter.warn(line)
    graph = whole.limit(settings.limit, settings.limit_dev)
    facts: dict[str, Any] = {split: len(graph.true[split]) for split in graph.true}
    facts |= {"origin": graph.origin, "digest": whole.digest, "check": found.facts()}
    source = Source(f"{graph.name}_{settings.task}", digest_json([whole.digest, graph.digest, settings.task]), facts)
    make = _plan_relations if settings.task == "relations" else _plan_triples
    return make(settings, inputs, origin, graph, source, reporter)


def _plan_triples(
    settings: KgBertSettings, inputs: ModelInputs, origin: Origin, graph: Graph, source: Source, reporter: Reporter
) -> RunPlan:
    tokens = TripleTokens(inputs, graph, origin.limit)
    _count_cut(tokens.count_cut(graph.true["train"]), graph, origin, reporter)
    labelled = {split: _label(graph, split) for split in ("dev", "test")}
    queries = list_sides(graph, graph.true["test"], settings.candidates) if settings.task == "links" else ()

    def make_examples(one: LabelledTriples) -> TripleExamples:
        return TripleExamples(tokens, one.triples, one.labels)

    def make_task(seed: int) -> TripleTask:
        return TripleTask(graph, labelled, seed, queries, settings.candidates)

    build = partial(build_for_classes, settings, LABELS)
    check_rank_budget(settings, make_task(0), make_examples, build, origin.checkpoint, reporter)
    k = settings.negatives or _NEGATIVES[settings.task]
    check_negatives(settings.negatives, graph)
    models = [
        ModelPlan(f"seed-{seed}", seed, (make_stage(
            "kg_bert",
            settings,
            build,
            TripleData(tokens, graph.true["train"], graph.known, k, settings.batch_size, seed),
            TripleEvaluation(make_task(seed), make_examples, compute_loss, reporter),
        ),))
        for seed in settings.seeds
    ]  # fmt: skip
    return RunPlan(models, source, plan_baselines(settings, graph, make_task))


def check_negatives(k: int, graph: Graph) -> None:
    """Refuse more false triples beside each true one than there are, or than memory holds in an epoch.

    Raises:
        InputError: naming the most.
    """
    n, room = len(graph.true["train"]), find_room()
    most, held = 2 * (len(graph.entities) - 1), max(1, int(room / _FALSE_BYTES / n))
    if k > min(most, held):
        why = (
            f"a triple of graph {graph.name} has at most {most:,} false neighbours"
            if most <= held
            else f"{n * k:,} false triples are drawn for an epoch, and {room / 2**30:.1f} GiB are free"
        )
        raise InputError(f"--negatives {k}: {why}; expected at most {min(most, held):,}")


def _plan_relations(
    settings: KgBertSettings, inputs: ModelInputs, origin: Origin, graph: Graph, source: Source, reporter: Reporter
) -> RunPlan:
    if len(graph.relations) < 2:
        raise InputError(f"--task relations: graph {graph.name} has one relation; expected two or more")
    splits = {split: TokenisedSplit(inputs, _pair_up(graph, split)) for split in graph.true}
    _count_cut(int(splits["train"].truncated.sum()), graph, origin, reporter)
    models = [
        ModelPlan(f"seed-{seed}", seed, (make_stage(
            "kg_bert",
            settings,
            partial(build_for_classes, settings, graph.relations),
            LabelledData(splits["train"], settings.batch_size, seed),
            RelationEvaluation(RelationTask(graph, seed), splits, compute_loss),
        ),))
        for seed in settings.seeds
    ]  # fmt: skip
    return RunPlan(models, source, plan_baselines(settings, graph, partial(RelationTask, graph)))


def _label(graph: Graph, split: str) -> LabelledTriples:
    """The triples of a split with false ones: those of the source, else one made of each, the same in every run.

    Raises:
        InputError: none can be made, since every other head and tail makes a triple that is known to be true.
    """
    true, false = graph.true[split], graph.false[split]
    if not len(false):
        false = corrupt(graph.known, true, 1, stream(0, "false", split))
    if not len(false):
        raise InputError(
            f"graph {graph.name}: no triple of {split} has a false neighbour, so that nothing is left to tell apart; "
            "expected more entities, or false triples in its fourth column"
        )
    return LabelledTriples(np.concatenate([true, false]), np.repeat([1, 0], [len(true), len(false)]))


def _pair_up(graph: Graph, split: str) -> Split:
    """Head and tail of each triple as a sentence pair, and its relation as the label."""
    texts, triples = graph.entity_texts, graph.true[split]
    pairs = tuple((texts[head], texts[tail]) for head, tail in triples[:, [HEAD, TAIL]].tolist())
    return Split(pairs, triples[:, RELATION])


def _count_cut(n_cut: int, graph: Graph, origin: Origin, reporter: Reporter) -> None:
    n = len(graph.true["train"])
    if n_cut:
        reporter.warn(
            f"graph {graph.name}: {n_cut:,} of {n:,} training triples are longer than {origin.limit} tokens and lose "
            "words where they are longest"
        )


def try_out(folder: Path) -> Mapping[str, Any]:
    """A tiny encoder and a tiny graph in a folder, and the settings for trying the recipe on them.

    The relation of two letters is that of the head's half of the alphabet.
    """
    heads, tails = "abcdefgh", "stuvwxyz"
    triples = [f"{head}\t{'near' if head < 'e' else 'far'}\t{tail}\n" for tail in tails for head in heads]
    files = {"train": triples[:40], "dev": triples[40:52], "test": triples[52:]}
    files |= {"entities": [f"{one}\t{one}\n" for one in heads + tails]}
    files |= {"relations": [f"{one}\t{one[0]}\n" for one in ("near", "far")]}
    graph = folder / "graph"
    graph.mkdir()
    for name, lines in files.items():
        (graph / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")
    encoder = folder / "encoder"
    encoder.mkdir()
    return {
        "checkpoint": write_bert(encoder),
        "graph": str(graph),
        "task": "classification",
        "max_length": 16,
        "baselines": ("frequency",),
    }


RECIPE = Recipe(KgBertSettings, plan, RANGES, check, NEEDS, gentle={"task": "relations"}, tiny=try_out)
