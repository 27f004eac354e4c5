"""NAS-BERT's search (arXiv 2105.14444) on running text, and what it finds trained beside models made by hand.

    latency      milliseconds of every operation on this machine, which add up to those of a model
    supernet-1   blocks of all operations, each learning its part of a teacher; one path is drawn in each step
    shrink-1     of every bin of size and latency, the worse half of those that are scored is dropped
    ...          so many rounds of both
    select       for each size and each latency, the path with the least loss
    distil       a model of that architecture from scratch, beside the teacher

Nothing of the supernet's weights is kept: what is found and what is made by hand start alike.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from probing.digests import digest_json
from probing.encoders.blocks import find_backbone
from probing.encoders.checkpoints import Checkpoint, find_checkpoint, load_model, load_tokenizer
from probing.encoders.limits import choose_limit
from probing.encoders.nas_bert_model import NasBertConfig
from probing.encoders.operations import name_operation
from probing.encoders.slow_tokenizers import open_backend
from probing.progress import Reporter
from probing.records import InputError
from probing.settings.checks import ABOVE_0, Range, flag_of
from probing.settings.run import EMBEDDED
from probing.settings.training import RecipeSettings
from probing.training.origins import SCRATCH, check_teacher_of_states
from probing.training.plan import ModelPlan, Origin, Recipe, RunPlan
from probing.training.recipes import pretrain
from probing.training.recipes.nas_bert_budgets import read_hand_made
from probing.training.recipes.nas_bert_search import RANDOM, SEARCHED
from probing.training.recipes.nas_bert_stages import (
    HAND_MADE,
    LATENCY,
    SELECT,
    SHRUNK,
    UNSHRUNK,
    WHOLE,
    Workshop,
)
from probing.training.transforms.block_space import count_choices, list_entries

ARMS = (SEARCHED, UNSHRUNK, RANDOM, HAND_MADE)
_FOUND = {SEARCHED: SHRUNK, UNSHRUNK: WHOLE, RANDOM: WHOLE}
"""Supernet that the models of an arm are found in."""
_SPACE = ("blocks", "places", "widths", "head_size", "embedding_size")
_SHRINKING = ("supernet_share", "rounds", "bins", "latency_bins", "sampled", "kept", "search_blocks", "evaluated")
_BUDGETS = ("sizes", "latencies", "latency_batch", "latency_table", "arms", "hand_made")


@dataclass(frozen=True)
class NasBertSettings(RecipeSettings):
    """Search small encoders in a supernet that learns a teacher, for several sizes and latencies at once."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "teacher and text": (
            *("recipe", "teacher", "text", "limit", "limit_dev", "cache_dir", "max_length", "seeds"),
            *("model", "checkpoint"),
        ),
        "space": _SPACE,
        "search": _SHRINKING,
        "models": _BUDGETS,
        "optimiser": (
            *("tokens", "epochs", "max_steps", "batch_size", "accumulation_steps", "learning_rate"),
            *("weight_decay", "warmup_share", "max_grad_norm", "dropout"),
        ),
        **RecipeSettings.GROUPS,
    }
    """Flags that `--help` shows together."""
    WITHOUT_EFFECT: ClassVar[tuple[str, ...]] = (*RecipeSettings.WITHOUT_EFFECT, "cache_dir")
    """Settings that move no number."""

    recipe: str = "nas_bert"
    """The way of training."""
    model: str = "nas_bert"
    """Architecture: nas_bert alone."""
    checkpoint: str = SCRATCH
    """Checkpoint to go on from: none, for all weights are drawn."""
    teacher: str = EMBEDDED
    """The encoder that is learned, and whose tokenizer all models have: the embedded all-MiniLM-L6-v2, a local folder,
    or a Hugging Face id."""
    text: tuple[str, ...] = ()
    """Running text, a paragraph a line: files and folders of .txt or .txt.xz, those that begin with dev or test held
    out; or hub:ID. None: 22,000 sentences of the controlled grammar."""
    limit: int = 0
    """At most this many blocks of training text, the first ones; 0 takes all."""
    limit_dev: int = 400
    """At most this many blocks of dev and of test, the first ones; 0 takes all."""
    cache_dir: Path = Path("data/cache")
    """Folder in which tokenised text is kept, for this run and all others."""
    max_length: int = 64
    """Tokens of a block of text, marks included, and so the longest input of the models."""
    blocks: int = 3
    """Blocks of a model, each learning so many of the teacher's layers. The paper's: 4."""
    places: int = 4
    """Operations of a block at most. The paper's: 6."""
    widths: tuple[int, ...] = (96, 192, 384)
    """Widths of a block. The paper's: 128, 192, 256, 384 and 512, beside a teacher of 768."""
    head_size: int = 32
    """Width of a head of attention. The paper's: 64."""
    embedding_size: int = 128
    """Width of the embeddings of all models."""
    supernet_share: float = 4.0
    """Steps of a supernet in all rounds, as a multiple of those of a model that is trained by itself."""
    rounds: int = 4
    """Rounds of training the supernet and shrinking it."""
    bins: int = 5
    """Bins of size that the architectures of a block stand in. The paper's: 10."""
    latency_bins: int = 5
    """Bins of latency, by each bin of size; 1 leaves latency out of the shrinking."""
    sampled: int = 100
    """Architectures of a block that are scored in each bin and round. The paper's: 2,000."""
    kept: int = 10
    """Architectures of a block that are left in each bin. The paper's: 10."""
    search_blocks: int = 32
    """Blocks of dev text that architectures are scored on, the first ones."""
    evaluated: int = 20
    """Paths of each budget, the best by their blocks' losses, that are scored as a whole. The paper's: 100."""
    sizes: tuple[float, ...] = ()
    """Most parameters of a model's body (operations and maps between blocks), one model for each; none: those of
    --hand-made."""
    latencies: tuple[float, ...] = ()
    """Most milliseconds of a model's body by the table (on a CPU, of one thread), one model for each."""
    latency_batch: int = 32
    """Texts of --max-length tokens that latencies are measured with."""
    latency_table: str = ""
    """Milliseconds that were measured before, such as architecture.json of a run's stage latency; empty: they are
    measured here."""
    arms: tuple[Literal["searched", "unshrunk", "random", "hand_made"], ...] = ARMS
    """Models, one per arm, budget and seed: searched, unshrunk (found in a supernet that is not shrunk while it learns,
    as many steps and scored architectures), random (the best of paths drawn in that one, as many blocks of which are
    scored), hand_made."""
    hand_made: tuple[str, ...] = ("2x128", "3x192", "4x256")
    """BERTs, layers by width, that are trained beside what is found."""
    tokens: int = 0
    """Training tokens of each model, marks included; 0 leaves it to --epochs."""
    max_steps: int = 0
    """Optimiser steps of each model; 0 leaves it to --tokens, or to --epochs."""
    epochs: float = 1.0
    """Passes of each model over the training text."""
    batch_size: int = 32
    """Blocks of text per optimiser step, over all processes."""
    dropout: float = 0.0
    """In the models. None: in so few passes nothing is learned by heart."""
    learning_rate: float = 1e-3
    """Of AdamW, at its highest."""


_MOST_CHOICES = 1_000_000
"""Architectures of a block; the paper's space has 97,650."""

RANGES: Mapping[str, Range] = {
    **{name: allowed for name, allowed in pretrain.RANGES.items() if hasattr(NasBertSettings, name)},
    **dict.fromkeys(("blocks", "places", "widths", "head_size", "embedding_size", "supernet_share"), ABOVE_0),
    **dict.fromkeys(("rounds", "bins", "latency_bins", "sampled", "kept", "search_blocks", "evaluated"), ABOVE_0),
    **dict.fromkeys(("sizes", "latencies", "latency_batch"), ABOVE_0),
    "freeze_up_to": Range("-1: models that are drawn have nothing to keep", -1, 0),
}


def check(settings: NasBertSettings) -> None:
    """Refuse settings that do not go together.

    Raises:
        InputError: naming the flags, and what they expect.
    """
    for name, only in (("model", "nas_bert"), ("checkpoint", SCRATCH)):
        if getattr(settings, name) != only:
            raise InputError(
                f"--{name} {getattr(settings, name)}: the models of nas_bert are drawn as {only} alone; leave it away "
                "(their teacher is named by --teacher)"
            )
    unknown = [name for name in settings.arms if name not in ARMS]
    if unknown or SEARCHED not in settings.arms:
        raise InputError(f"--arms {' '.join(settings.arms)}: expected {SEARCHED}, and some of {', '.join(ARMS[1:])}")
    for name in ("arms", "hand_made", "sizes", "latencies", "widths"):
        values = getattr(settings, name)
        if len(set(values)) < len(values):
            raise InputError(f"{flag_of(name)} {' '.join(map(str, values))}: one is there twice; name it once")
    if not settings.widths:
        raise InputError("--widths: expected one or more")
    if (n_choices := count_choices(settings.widths, settings.places)) > _MOST_CHOICES:
        raise InputError(
            f"--places {settings.places}: a block of {len(settings.widths)} widths has {n_choices:.2g} architectures; "
            f"expected at most {_MOST_CHOICES:,}: all are held in memory"
        )
    made = [read_hand_made(name) for name in settings.hand_made]
    if not made and (HAND_MADE in settings.arms or not settings.sizes + settings.latencies):
        raise InputError("--hand-made: expected one or more; without it, --sizes or --latencies, and no such arm")
    for flag, width in [("widths", one) for one in settings.widths] + [("hand-made", _read_width(one)) for one in made]:
        if width % max(1, width // settings.head_size):
            raise InputError(f"--{flag}: {width} is no multiple of --head-size {settings.head_size}")


def find_origin(settings: NasBertSettings, warn: Any) -> Origin:
    """The outline of a model: the teacher's tokenizer, and blocks that are yet to be found.

    Raises:
        InputError: the teacher cannot be used.
    """
    checkpoint = find_checkpoint(settings.teacher)
    tokenizer: Any = load_tokenizer(checkpoint)
    teacher = find_backbone(load_model(checkpoint))
    length = choose_limit(settings.max_length, teacher, tokenizer)
    check_teacher_of_states(teacher, checkpoint, warn)
    config = NasBertConfig(
        vocab_size=max(tokenizer.get_vocab().values()) + 1,
        embedding_size=settings.embedding_size,
        blocks=[[name_operation(settings.widths[0], 0)]],
        head_size=settings.head_size,
        max_position_embeddings=length,
        pad_token_id=tokenizer.pad_token_id or 0,
    )
    digest = digest_json([config.to_json_string(use_diff=False), open_backend(tokenizer).to_str()])
    return Origin(Checkpoint(SCRATCH, "", Path()), digest, tokenizer, config, length, config.layer_names)


def plan(settings: NasBertSettings, origin: Origin, reporter: Reporter) -> RunPlan:
    """The search with the first seed, and what it finds and what is made by hand with each seed.

    Raises:
        InputError: text, a teacher or a table that cannot be used, or a size that no candidate meets.
    """
    shop, first = Workshop(settings, origin, reporter), settings.seeds[0]
    rounds = [stage for number in range(settings.rounds) for stage in shop.plan_round(number, settings.rounds, first)]
    models = [ModelPlan(SHRUNK, first, (shop.plan_latency(), *rounds), {"arm": SHRUNK}, serves=True)]
    if {UNSHRUNK, RANDOM} & set(settings.arms):
        table = ((SHRUNK, LATENCY),)
        models.append(ModelPlan(WHOLE, first, shop.plan_round(0, 1, first), {"arm": WHOLE}, table, serves=True))
    for seed in settings.seeds:
        for arm in settings.arms:
            names = settings.hand_made if arm == HAND_MADE else [budget.name for budget in shop.budgets]
            needs = [(_FOUND[arm], SELECT)] if arm in _FOUND else []
            for name in names:
                stages, variant = (shop.plan_training(arm, name, seed),), {"arm": arm, "budget": name}
                models.append(ModelPlan(f"{arm}-{name}-seed-{seed}", seed, stages, variant, needs))
    return RunPlan(models, shop.source)


def _read_width(blocks: list[list[str]]) -> int:
    return int(blocks[0][0].rpartition("-")[2])


def try_out(folder: Path) -> Mapping[str, Any]:
    """A tiny teacher, a little text and a table of latencies in a folder, and the settings for trying the recipe."""
    usual, widths = pretrain.try_out(folder), (4, 8)
    table = folder / "latency.json"
    table.write_text(json.dumps({name: 1 + 0.1 * number for number, name in enumerate(list_entries(widths))}))
    small = {"blocks": 2, "places": 2, "widths": widths, "head_size": 4, "embedding_size": 4, "rounds": 2, "bins": 2}
    small |= {"latency_bins": 2, "sampled": 6, "kept": 2, "search_blocks": 8, "evaluated": 2, "supernet_share": 2.0}
    small |= {"teacher": usual["checkpoint"], "sizes": (1000.0,), "hand_made": (), "arms": (SEARCHED,)}
    return small | {name: usual[name] for name in ("text", "cache_dir", "max_length")} | {"latency_table": str(table)}


RECIPE = Recipe(
    NasBertSettings,
    plan,
    RANGES,
    check,
    seeds_depend=True,
    origin=find_origin,
    tiny=try_out,
)
