"""C-BERT (Wu et al. 2019, arXiv 1812.06705): sentences augmented by a masked language model that knows their labels.

    masked LM --learns train with labels--> conditional LM --fills hidden places--> new sentences --> classifier

Beside it stand arms of equal steps: no new sentences, synonyms, and the same masked language model without labels. A
judge says how often a new sentence still has its label.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from transformers import BertForMaskedLM

from probing.digests import digest_json
from probing.encoders.c_bert_model import choose_table
from probing.encoders.masked_lm import find_masked_lm, load_masked_lm
from probing.encoders.model_facts import compute_digest
from probing.encoders.tiny_checkpoints import disturb, draw_bert, write_tokenizer
from probing.encoders.unknown_words import describe_unknown
from probing.progress import Reporter
from probing.records import InputError
from probing.settings.checks import ABOVE_0, Range, check_repeats
from probing.settings.idle import Need
from probing.settings.training import RecipeSettings, TrainSettings
from probing.tasks.files.senteval import format_rows
from probing.training.data.sentences import count_cut
from probing.training.data.synonyms import has_wordnet
from probing.training.plan import ModelPlan, Origin, Recipe, RunPlan, Source, Stage
from probing.training.recipes import finetune
from probing.training.recipes.c_bert_stages import AUGMENT, Augmented, Workshop
from probing.training.recipes.c_bert_task import choose_task, take_share

ARMS = ("none", "synonyms", "pretrained", "unconditional", "conditional")
CLASSIFIERS = ("encoder", "cnn", "lstm")


@dataclass(frozen=True)
class CBertSettings(TrainSettings):
    """Augment a labelled task by a label-conditional masked language model (C-BERT, arXiv 1812.06705)."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "model and data": (
            *("recipe", "model", "checkpoint", "task", "data", "splits", "drop_known", "seeds"),
            *("limit", "limit_dev", "max_length", "freeze_up_to"),
        ),
        "augmentation": (
            *("arms", "shares", "sample_num", "sample_ratio", "temperature", "mask_share", "label_table"),
            *("lm_epochs", "lm_learning_rate", "judged"),
        ),
        "classifiers": ("classifiers", "word_epochs", "word_learning_rate"),
        "optimiser": TrainSettings.GROUPS["optimiser"],
        **RecipeSettings.GROUPS,
    }
    """Flags that `--help` shows together."""

    recipe: str = "c_bert"
    """The way of training."""
    model: str = "bert"
    """Model of the classifier `encoder`: bert (reads the last layer) or bermo (reads the scalar mix of all layers)."""
    task: str = "TREC"
    """The task, of single sentences with classes. With --splits, the table's name says it."""
    splits: str = ""
    """Table of the rows of each split (columns split, file, row; files below --data), such as the authors'; empty: the
    source's own splits."""
    drop_known: bool = False
    """Leave out the sentences of train and dev that stand in test."""
    max_length: int = 64
    """Longest input in tokens. The paper's."""
    arms: tuple[str, ...] = ("none", "synonyms", "unconditional", "conditional")
    """Ways of making more sentences: none, synonyms (WordNet where nltk has its data, else the nearest input
    embeddings), pretrained (the masked language model as it is), unconditional (it has learned train without labels),
    conditional (C-BERT)."""
    shares: tuple[float, ...] = (1.0, 0.1)
    """Shares of train that are augmented and learned from."""
    sample_num: int = 1
    """New sentences of each old one. The paper tries 1 to 3."""
    sample_ratio: int = 4
    """Tokens of which one is replaced. The paper tries 4 and 6."""
    temperature: float = 1.0
    """Of sampling. The paper tries 0.5 and 1."""
    mask_share: float = 0.15
    """Share of the tokens that are hidden while the masked language model learns."""
    label_table: Literal["auto", "segments", "new"] = "auto"
    """Rows of labels: segments (the two pre-trained rows), new, or auto, the paper's: segments for two classes."""
    lm_epochs: float = 10.0
    """Passes of the masked language model over train. The paper's."""
    lm_learning_rate: float = 5e-5
    """Of the masked language model. The paper's."""
    judged: bool = True
    """True where a classifier, trained on all of train, reads the new sentences: how many keep their label."""
    classifiers: tuple[str, ...] = ("encoder",)
    """Classifiers of each arm: encoder (the fine-tuned --model), cnn and lstm (the paper's, on word vectors)."""
    word_epochs: float = 20.0
    """Passes of cnn and lstm."""
    word_learning_rate: float = 1e-3
    """Of cnn and lstm."""
    epochs: float = 3.0
    """Passes of the classifier `encoder` over train and as many new sentences; every arm has as many steps."""
    learning_rate: float = 5e-5
    """Of AdamW, at its highest, for the classifier `encoder`."""


RANGES: Mapping[str, Range] = {
    **finetune.RANGES,
    **dict.fromkeys(("sample_num", "sample_ratio", "temperature", "lm_epochs", "word_epochs"), ABOVE_0),
    **dict.fromkeys(("lm_learning_rate", "word_learning_rate"), ABOVE_0),
    "mask_share": Range(
        "more than 0 and at most 1: else nothing is hidden, and nothing learned", 0, 1.0000001, above_low=True
    ),
}


def _writes(*arms: str) -> Callable[[CBertSettings], bool]:
    return lambda settings: bool({*settings.arms} & {*arms})


NEEDS = (
    Need(("sample_num", "sample_ratio", "judged"), "with --arms none alone", _writes(*ARMS[1:])),
    Need(("temperature",), "without an arm whose words are drawn", _writes(*ARMS[2:])),
    Need(("mask_share", "lm_epochs", "lm_learning_rate"), "without an arm that learns train", _writes(*ARMS[3:])),
    Need(("label_table",), "without --arms conditional", _writes("conditional")),
    Need(
        ("word_epochs", "word_learning_rate"),
        "without cnn or lstm among --classifiers",
        lambda settings: {*settings.classifiers} != {"encoder"},
    ),
    Need(("lm_epochs", "word_epochs"), "with --max-steps", lambda settings: not settings.max_steps),
    Need(("task",), "with --splits, whose name it is", lambda settings: not settings.splits),
    finetune.OF_MIX,
)


def check(settings: CBertSettings) -> None:
    """Refuse settings that do not go together.

    Raises:
        InputError: naming the flags, and what they expect.
    """
    for name, known in (("arms", ARMS), ("classifiers", CLASSIFIERS)):
        chosen = getattr(settings, name)
        unknown = [one for one in chosen if one not in known]
        if unknown or not chosen:
            raise InputError(f"--{name} {' '.join(unknown)}: expected some of {', '.join(known)}")
    check_repeats(settings, ("arms", "classifiers", "shares"))
    strange = [share for share in settings.shares if not 0 < share <= 1]
    if strange or not settings.shares:
        raise InputError(f"--shares {' '.join(map(str, strange))}: expected shares of train, above 0 and at most 1")


def plan(settings: CBertSettings, origin: Origin, reporter: Reporter) -> RunPlan:
    """One model per arm, share of train, classifier and seed, and one judge per seed.

    Raises:
        InputError: a task that cannot be used, or no masked language model for the encoder.
    """
    task = choose_task(settings, reporter)
    lm = find_masked_lm(settings.checkpoint)
    loaded = load_masked_lm(lm)[0]
    if "conditional" in settings.arms:
        choose_table(loaded.config, task.classes, None if settings.label_table == "auto" else settings.label_table)
    shares = {share: take_share(task, share) for share in (1.0, *settings.shares)}
    workshop = Workshop(settings, origin, lm, task, shares)
    if {*settings.arms} - {"none"} and not workshop.readable[~workshop.reading.marks.continues].any():
        raise InputError(
            f"checkpoint {origin.checkpoint.name}: no word of its tokenizer stands in a text as in its vocabulary, so "
            "that none can be put in the place of another; take a BERT, or --arms none"
        )
    for line in describe_unknown(workshop.reading.inputs, origin.checkpoint.name, [task]):
        reporter.warn(line)
    count_cut(workshop.reading.tokenize(task.splits["train"]), origin.limit, reporter)
    synonyms = ("wordnet" if has_wordnet() else "embeddings") if "synonyms" in settings.arms else ""
    if synonyms == "embeddings":
        reporter.warn("arm synonyms: nltk has no WordNet here; words are replaced by neighbours of input embeddings")
    facts = {"origin": task.origin, "digest": task.digest, "masked_lm": lm.name, "synonyms": synonyms}
    facts |= {name: len(split) for name, split in task.splits.items()}
    identity = digest_json([task.digest, compute_digest(loaded, origin.tokenizer), synonyms])
    models = [model for seed in settings.seeds for model in plan_models(settings, workshop, seed)]
    return RunPlan(models, Source(task.name, identity, facts, (task,)))


def plan_models(settings: CBertSettings, workshop: Workshop, seed: int) -> list[ModelPlan]:
    """The models of one seed: those that write sentences, the judge of these, and the other classifiers."""
    first, *others = settings.classifiers
    ways = [Augmented(arm, share, _name(arm, share, first, seed)) for share, arm in _list_cells(settings)]
    models = [_plan_first(workshop, way, first, seed) for way in ways]
    written = [way for way in ways if way.arm != "none"]
    if settings.judged and written:
        pairs = [
            (one.name, other.name)
            for one, other in product(written, written)
            if (one.arm, other.arm) == ("conditional", "unconditional") and one.share == other.share
        ]
        needs = [(way.model, AUGMENT) for way in written]
        models.append(
            ModelPlan(f"judge-seed-{seed}", seed, (workshop.plan_judge(written, pairs, seed),), {"arm": "judge"}, needs)
        )
    for classifier, way in product(others, ways):
        needs = [] if way.arm == "none" else [(way.model, AUGMENT)]
        stages = (workshop.plan_classifier(way.arm, way.share, classifier, seed),)
        name = _name(way.arm, way.share, classifier, seed)
        models.append(ModelPlan(name, seed, stages, _describe(way, classifier), needs))
    return models


def _plan_first(workshop: Workshop, way: Augmented, classifier: str, seed: int) -> ModelPlan:
    """The chain that writes an arm's sentences, with the first classifier at its end."""
    stages: list[Stage] = []
    if way.arm in ("unconditional", "conditional"):
        stages.append(workshop.plan_masked_lm(way.arm, way.share, seed))
    if way.arm != "none":
        stages.append(workshop.plan_writing(way.arm, way.share, seed))
    stages.append(workshop.plan_classifier(way.arm, way.share, classifier, seed))
    return ModelPlan(way.model, seed, stages, _describe(way, classifier))


def _list_cells(settings: CBertSettings) -> Sequence[tuple[float, str]]:
    return list(product(settings.shares, settings.arms))


def _name(arm: str, share: float, classifier: str, seed: int) -> str:
    return f"{arm}-{share:g}-{classifier}-seed-{seed}"


def _describe(way: Augmented, classifier: str) -> dict[str, Any]:
    """Variant of a model; its `arm` is the name that tables show."""
    name = f"{way.arm} {classifier}" if way.share == 1 else f"{way.arm} {classifier} {way.share:.0%}"
    return {"arm": name, "way": way.arm, "share": way.share, "classifier": classifier}


def try_out(folder: Path) -> Mapping[str, Any]:
    """A tiny masked language model and a tiny task in a folder, and the settings for trying the recipe on them.

    The class of a sentence is that of its letters' half of the alphabet.
    """
    encoder, data = folder / "encoder", folder / "data"
    for one in (encoder, data):
        one.mkdir()
    tokenizer = write_tokenizer(encoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config: Any = draw_bert(len(tokenizer)).config
        disturb(BertForMaskedLM(config)).save_pretrained(encoder)
    halves = {"early": "abcdefgh", "late": "stuvwxyz"}
    rows = [
        (split, label, " ".join(letters[(row + 3 * place * row) % 8] for place in range(4 + row % 5)))
        for split, n in (("train", 48), ("dev", 16), ("test", 16))
        for row in range(n)
        for label, letters in halves.items()
    ]
    (data / "halves.txt").write_text(format_rows(rows), encoding="utf-8")
    return {
        "checkpoint": str(encoder),
        "data": str(data),
        "task": "halves",
        "max_length": 16,
        "arms": ("conditional",),
        "shares": (1.0,),
        "judged": False,
    }


RECIPE = Recipe(CBertSettings, plan, RANGES, check, NEEDS, gentle={"lm_learning_rate": 2e-2}, tiny=try_out)
