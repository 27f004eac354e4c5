"""Pre-training on running text: an encoder of any architecture and size, from scratch or going on from a checkpoint."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from probing.encoders.checkpoints import find_checkpoint, load_tokenizer
from probing.encoders.new_encoders import Sizes
from probing.encoders.tiny_checkpoints import write_bert
from probing.progress import Reporter
from probing.settings.run import EMBEDDED
from probing.tasks.sources import HUB
from probing.training.data.blocks import Packing
from probing.training.data.running_text import Text, load_text
from probing.training.data.text_sources import find_source
from probing.training.data.vocabulary import read_marks, train_tokenizer
from probing.training.origins import SCRATCH, find_trained, outline_new
from probing.training.plan import ModelPlan, Origin, Recipe, RunPlan
from probing.training.recipes.pretrain_orders import order_sublayers, read_orders
from probing.training.recipes.pretrain_settings import NEEDS, RANGES, SIZES, PretrainSettings, check
from probing.training.recipes.pretrain_stages import choose_pace, plan_stage


def find_origin(settings: PretrainSettings, warn: Callable[[str], None]) -> Origin:
    """The encoder to go on from, or the outline of the one to be drawn.

    Raises:
        InputError: a checkpoint or tokenizer that cannot be used, sizes that do not go together, or text that no
            vocabulary can be learned from.
    """
    length = settings.max_length
    if settings.checkpoint != SCRATCH:
        origin = find_trained(settings.checkpoint, settings.model, length, settings.freeze_up_to)
        if origin.limit < length:
            warn(f"--max-length {length}: the encoder takes no more than {origin.limit} tokens; so long are the blocks")
        return origin
    width, layers, *others = (getattr(settings, name) for name in SIZES)
    first = next(iter(read_orders(settings).values()), ())
    sizes = Sizes(width or 128, layers or len(first) or 4, *others, layer_pattern=first)
    return outline_new(settings.model, sizes, choose_tokenizer(settings), length)


def plan(settings: PretrainSettings, origin: Origin, reporter: Reporter) -> RunPlan:
    """One model per seed and, where orders of sub-layers are named, for each of them.

    Raises:
        InputError: text that cannot be used, or an order that cannot have the first one's number of weights.
    """
    orders = read_orders(settings)
    origins = {name: order_sublayers(origin, order) for name, order in orders.items()} or {"": origin}
    text = prepare_text(settings, origin, reporter)
    models = []
    for name, own in origins.items():
        variant = {"order": name, "pattern": "".join(map(str, orders[name]))} if name else {}
        for seed in settings.seeds:
            stages = (plan_stage("pretrain", settings, own, text, seed),)
            models.append(ModelPlan(f"{name}-seed-{seed}".removeprefix("-"), seed, stages, variant))
    return RunPlan(models, text.source)


def prepare_text(settings: PretrainSettings, origin: Origin, reporter: Reporter) -> Text:
    """The text that the settings name, in blocks of the encoder's tokens.

    Raises:
        InputError: text that cannot be used.
    """
    marks = read_marks(origin.tokenizer, origin.checkpoint.name)
    limit, steps = settings.limit, choose_pace(settings, origin.limit).max_steps
    if not limit and any(name.startswith(HUB) for name in settings.text):
        # A dataset of the hub may be endless: no more of it is fetched than the training needs.
        limit = steps * settings.batch_size
    packing = Packing(origin.tokenizer, marks, origin.limit, limit)
    with reporter.stage("text", 1, "texts") as advance:
        text = load_text(find_source(settings.text), packing, settings.cache_dir)
        advance(1)
    return text


def choose_tokenizer(settings: PretrainSettings) -> PreTrainedTokenizerBase:
    """The tokenizer of a new encoder: learned from the text, or another encoder's.

    Raises:
        InputError: it cannot be had.
    """
    if settings.vocabulary:
        source = find_source(settings.text)
        return train_tokenizer(source.splits["train"], settings.vocabulary, settings.max_length)
    tokenizer = load_tokenizer(find_checkpoint(settings.tokenizer or EMBEDDED))
    tokenizer.model_max_length = settings.max_length
    return tokenizer


def try_out(folder: Path) -> Mapping[str, Any]:
    """A tiny encoder and a little text in a folder, and the settings for trying the recipe on them."""
    text = folder / "text"
    text.mkdir(parents=True)
    for split, n in (("train", 60), ("dev", 24), ("test", 24)):
        lines = [" ".join(24 * "abcdef"[row % 6]) for row in range(n)]
        (text / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_bert(folder / "encoder")
    return {
        "text": (str(text),),
        "checkpoint": str(folder / "encoder"),
        "cache_dir": folder / "cache",
        "max_length": 16,
    }


RECIPE = Recipe(PretrainSettings, plan, RANGES, check, NEEDS, origin=find_origin, tiny=try_out)
