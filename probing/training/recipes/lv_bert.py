"""LV-BERT's search (arXiv 2106.11740) on running text, and what it finds trained from scratch beside other orders.

A supernet is trained, and evolution and random search score its paths; then the best of both, orders that have a name
and random ones are trained at equal parameters, steps and tokens.

One rule says what is good, throughout: masked accuracy on held-out text. With replaced tokens, a candidate with a worse
generator would have easier negatives, and look better for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from probing.progress import Reporter
from probing.records import InputError
from probing.settings.checks import ABOVE_0, Range, check_repeats
from probing.training.evolution import Evolution
from probing.training.plan import ModelPlan, Origin, Recipe, RunPlan
from probing.training.recipes import pretrain
from probing.training.recipes.lv_bert_stages import FOUND, SEARCH, Lab
from probing.training.recipes.pretrain import PretrainSettings, prepare_text
from probing.training.transforms.pattern_space import Constraint

NAMED = ("interleaved", "sandwich", "convolution_first", "varied")


@dataclass(frozen=True)
class LvBertSettings(PretrainSettings):
    """Search an order of LV-BERT's sub-layers, and train it beside others."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "search": (
            *("constraint", "supernet_share", "search_blocks", "population", "generations", "parents"),
            *("mutation", "crossover"),
        ),
        "orders": ("orders", "random_orders", "extra_orders"),
        **PretrainSettings.GROUPS,
    }
    """Flags that `--help` shows together."""

    recipe: str = "lv_bert"
    """The way of training."""
    model: str = "lv_bert"
    """Architecture: lv_bert alone."""
    checkpoint: str = pretrain.SCRATCH
    """Checkpoint to go on from: none, for all weights are drawn."""
    hidden_size: int = 128
    """Width of the states."""
    layers: int = 12
    """Sub-layers, an even number; the authors have 24."""
    heads: int = 2
    """Heads of attention and of convolution."""
    embedding_size: int = 64
    """Width of the embeddings."""
    max_length: int = 64
    """Tokens of a block, marks included."""
    learning_rate: float = 1e-3
    """Of AdamW, at its highest."""
    constraint: Constraint = "parameters"
    """Constraint on all paths and candidates: parameters (weights within 2 % of the interleaved order's, which is as
    many feed-forward sub-layers), counts (a third of each kind), or none."""
    supernet_share: float = 4.0
    """Steps of the supernet, as a multiple of those of a model that is trained by itself."""
    search_blocks: int = 400
    """Blocks of dev that candidates are scored on, the first ones, hidden once and for all; 0 takes all."""
    population: int = 50
    """New candidates in each generation, of the evolution and of the random search beside it."""
    generations: int = 20
    """Generations of the search; no number is published."""
    parents: int = 10
    """The best so far, which the next generation is made of."""
    mutation: float = 0.1
    """Probability of a place's being swapped with another or drawn anew."""
    crossover: float = 0.5
    """Share of a generation that two parents have; the rest are mutations of one."""
    orders: tuple[str, ...] = (*FOUND, *NAMED)
    """Orders that are trained by themselves, once per seed: searched, best_random, interleaved, sandwich,
    convolution_first (a sandwich whose front is of convolutions), varied (interleaved, every second attention a
    convolution)."""
    random_orders: int = 2
    """Random orders that are trained beside them, once per seed."""
    extra_orders: int = 0
    """More random orders, trained with the first seed alone: for how the supernet's ranking agrees with the models'."""

    @property
    def evolution(self) -> Evolution:
        """Course of the search."""
        return Evolution(**{field.name: getattr(self, field.name) for field in fields(Evolution)})


RANGES: Mapping[str, Range] = {
    **pretrain.RANGES,
    **dict.fromkeys(("supernet_share", "population", "generations", "parents"), ABOVE_0),
    "search_blocks": Range("0 or more", 0),
    **dict.fromkeys(("random_orders", "extra_orders"), Range("0 or more, and at most 1000 models", 0, 1001)),
    **dict.fromkeys(("mutation", "crossover"), Range("a share from 0 to 1", 0, 1.0000001)),
    "layers": Range("2 or more, and at most 1000", 2, 1001),
}


def check(settings: LvBertSettings) -> None:
    """Refuse settings that do not go together.

    Raises:
        InputError: naming the flags, and what they expect.
    """
    pretrain.check(settings)
    for name, only in (("model", "lv_bert"), ("checkpoint", pretrain.SCRATCH), ("objective", "masked")):
        if getattr(settings, name) != only:
            raise InputError(f"--{name} {getattr(settings, name)}: the recipe lv_bert has {only} alone; leave it away")
    unknown = [name for name in settings.orders if name not in (*FOUND, *NAMED)]
    if unknown:
        raise InputError(f"--orders {unknown[0]}: expected some of {', '.join((*FOUND, *NAMED))}")
    check_repeats(settings, ("orders",))
    if FOUND[0] not in settings.orders:
        raise InputError(
            f"--orders {' '.join(settings.orders)}: expected {FOUND[0]} among them: it is what is asked for"
        )
    if settings.layer_pattern:
        raise InputError("--layer-pattern: the recipe lv_bert searches one; name --orders, or use --recipe pretrain")
    if settings.layers % 2:
        raise InputError(f"--layers {settings.layers}: expected an even number of sub-layers")
    if settings.constraint == "counts" and settings.layers % 3:
        raise InputError(
            f"--layers {settings.layers}: --constraint counts has a third of each kind; expected 6, 12, ..."
        )


def plan(settings: LvBertSettings, origin: Origin, reporter: Reporter) -> RunPlan:
    """One chain of supernet, search and searched order with the first seed, and each order with each seed.

    Raises:
        InputError: text that cannot be used, or fewer orders than are asked for.
    """
    text = prepare_text(settings, origin, reporter)
    lab, first = Lab(settings, origin, text), settings.seeds[0]
    chain = (lab.plan_supernet(first), lab.plan_search(), lab.plan_training(FOUND[0], first))
    orders = [*settings.orders, *(f"random-{number}" for number in range(1, settings.random_orders + 1))]
    extra = range(settings.random_orders + 1, settings.random_orders + settings.extra_orders + 1)
    pairs = [(name, seed) for seed in settings.seeds for name in orders if (name, seed) != (FOUND[0], first)]
    pairs += [(f"random-{number}", first) for number in extra]
    models = [ModelPlan(_name(FOUND[0], first), first, chain, lab.describe(FOUND[0]))]
    for name, seed in pairs:
        needs = ((_name(FOUND[0], first), SEARCH),) if name in FOUND else ()
        models.append(ModelPlan(_name(name, seed), seed, (lab.plan_training(name, seed),), lab.describe(name), needs))
    return RunPlan(models, text.source)


def _name(order: str, seed: int) -> str:
    return f"{order}-seed-{seed}"


def try_out(folder: Path) -> Mapping[str, Any]:
    """A little text in a folder, and the settings for trying the recipe on it."""
    usual = pretrain.try_out(folder)
    small = {"tokenizer": usual["checkpoint"], "hidden_size": 8, "layers": 4, "embedding_size": 4}
    small |= {"population": 2, "generations": 2, "parents": 2, "supernet_share": 1.0, "search_blocks": 8}
    kept = {name: usual[name] for name in ("text", "cache_dir", "max_length")}
    return kept | small | {"checkpoint": pretrain.SCRATCH, "orders": ("searched",), "random_orders": 0}


RECIPE = Recipe(
    LvBertSettings,
    plan,
    RANGES,
    check,
    pretrain.NEEDS,
    seeds_depend=True,
    origin=pretrain.find_origin,
    tiny=try_out,
)
