"""Settings of TinyBERT, what has an effect beside what, and what goes together of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from probing.records import InputError
from probing.settings.checks import ABOVE_0, FROM_0, Range, check_repeats
from probing.settings.idle import Need
from probing.settings.run import EMBEDDED
from probing.settings.training import RecipeSettings, TrainSettings
from probing.training.data.near_words import NearWords
from probing.training.origins import SCRATCH
from probing.training.recipes import finetune
from probing.training.recipes.tiny_bert_stages import AUGMENTED, OF_TEXT

USUAL = ("labels", "general", "task", "both")
ARMS = (*USUAL, AUGMENTED)
TAUGHT = ("task", "both", AUGMENTED)
"""Arms that learn from the fine-tuned teacher."""
_SIZES = ("hidden_size", "layers", "heads", "intermediate_size")
_WEIGHTS = ("embedding_weight", "hidden_weight", "attention_weight", "prediction_weight", "label_weight")
_GENERAL = (
    *("text", "cache_dir", "general_tokens", "general_epochs", "general_steps", "general_batch_size"),
    *("general_learning_rate", "general_limit_dev"),
)
_STEPS = (
    *("intermediate_epochs", "intermediate_steps", "intermediate_learning_rate", "epochs", "max_steps"),
    *("learning_rate", "label_learning_rate", "batch_size", "accumulation_steps", "weight_decay", "warmup_share"),
    *("max_grad_norm", "dropout"),
)


@dataclass(frozen=True)
class TinyBertSettings(TrainSettings):
    """Distil a small student from an encoder, layer by layer, for one task."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "student and task": (
            *("recipe", "arms", *_SIZES, "task", "data", "seeds", "limit", "limit_dev", "max_length"),
            *("model", "checkpoint"),
        ),
        "teacher": (
            *("teacher", "distill_from", "teacher_epochs", "teacher_steps", "teacher_learning_rate"),
            *("layer_map", *_WEIGHTS, "temperature"),
        ),
        "running text": _GENERAL,
        "augmentation": ("copies", "replace_share", "candidates", "near_words"),
        "optimiser": _STEPS,
        **RecipeSettings.GROUPS,
    }
    """Flags that `--help` shows together."""
    WITHOUT_EFFECT: ClassVar[tuple[str, ...]] = (*RecipeSettings.WITHOUT_EFFECT, "cache_dir")
    """Settings that move no number."""

    recipe: str = "tiny_bert"
    """The way of training."""
    model: str = "bert"
    """Architecture of the student: bert alone."""
    checkpoint: str = SCRATCH
    """Checkpoint to go on from: none, for the student is drawn."""
    arms: tuple[Literal["labels", "general", "task", "both", "augmented"], ...] = USUAL
    """Students, one per arm and seed: labels (the task's labels alone), general (running text, then labels), task (the
    fine-tuned teacher alone), both (running text, then the fine-tuned teacher), augmented (both, with the task's
    sentences written anew beside them, in as many steps: TinyBERT; it needs a masked language model)."""
    hidden_size: int = 192
    """Width of the student. The paper's: 312 and 768, beside a teacher of 768."""
    layers: int = 0
    """Layers of the student; 0: half the teacher's. The paper's: 4 and 6, beside a teacher of 12."""
    heads: int = 0
    """Heads of the student, as many as the teacher's where attention is compared; 0: as many as the teacher's."""
    intermediate_size: int = 0
    """Inner width of the student's feed-forward layers; 0: four times the width."""
    teacher: str = EMBEDDED
    """The encoder that teaches on running text, and whose tokenizer the student has: the embedded all-MiniLM-L6-v2, a
    local folder, or a Hugging Face id."""
    distill_from: str = ""
    """That encoder, fine-tuned on the task: a folder written by finetune. Empty: it is fine-tuned here first."""
    teacher_epochs: float = 3.0
    """Passes over the task's sentences of a teacher that is fine-tuned here."""
    teacher_steps: int = 0
    """Steps of a teacher that is fine-tuned here; 0 leaves it to --teacher-epochs."""
    teacher_learning_rate: float = 3e-5
    """Of that teacher, at its highest."""
    layer_map: tuple[int, ...] = ()
    """The teacher's layer for each of the student's, from 1 on; none: evenly spaced, the last one for the last one."""
    embedding_weight: float = 1.0
    """Weight of the embeddings' loss, on running text and on the task; 0 leaves it out."""
    hidden_weight: float = 1.0
    """Weight of the states' loss; 0 leaves it out."""
    attention_weight: float = 1.0
    """Weight of the attention scores' loss; 0 leaves it out, and heads may differ."""
    prediction_weight: float = 1.0
    """Weight of the teacher's probabilities; with 0, labels are learned in their place."""
    label_weight: float = 0.0
    """Weight of the labels beside the teacher's probabilities. The paper's: none."""
    temperature: float = 1.0
    """By which teacher's and student's logits are divided."""
    text: tuple[str, ...] = ()
    """Running text, a paragraph a line: files and folders of .txt or .txt.xz, those that begin with dev or test held
    out; or hub:ID. None: 22,000 sentences of the controlled grammar."""
    cache_dir: Path = Path("data/cache")
    """Folder in which tokenised text is kept, for this run and all others."""
    general_tokens: int = 0
    """Tokens of running text that are learned; 0 leaves it to --general-epochs."""
    general_epochs: float = 1.0
    """Passes over the running text. The paper's: 3, of 2.5 billion words."""
    general_steps: int = 0
    """Steps on running text; 0 leaves it to --general-tokens, or to --general-epochs."""
    general_batch_size: int = 32
    """Blocks of running text in a step. The paper's: 256."""
    general_learning_rate: float = 1e-3
    """On running text, at its highest. The paper's: 5e-5, over many more steps."""
    general_limit_dev: int = 400
    """At most this many blocks of running text held out, the first ones; 0 takes all."""
    copies: int = 20
    """New sentences of each old one. The paper's: 10 to 30 by task."""
    replace_share: float = 0.4
    """Probability of each word's being replaced, stop words left alone. The paper's."""
    candidates: int = 15
    """Words that one is replaced by: the likeliest by a masked language model, or the nearest for a word of several
    pieces. The paper's."""
    near_words: NearWords = "auto"
    """Vectors by which words are the nearest to one of several pieces: glove (the paper's; of 50 dimensions, by the
    extra augment), embeddings (the teacher's own input embeddings), auto (glove where it is installed)."""
    intermediate_epochs: float = 10.0
    """Passes over the task's sentences while the teacher's layers are learned. The paper's: 5 to 50 by task."""
    intermediate_steps: int = 0
    """Steps of that; 0 leaves it to --intermediate-epochs."""
    intermediate_learning_rate: float = 3e-4
    """Of that, at its highest. The paper's: 5e-5."""
    epochs: float = 3.0
    """Passes while the teacher's answers are learned. Arms on labels have as many as both stages together."""
    max_steps: int = 0
    """Steps of that; 0 leaves it to --epochs."""
    learning_rate: float = 1e-4
    """Of that, at its highest. The paper's: 3e-5."""
    label_learning_rate: float = 3e-4
    """Of arms that learn labels, at its highest."""


RANGES: Mapping[str, Range] = {
    **{name: allowed for name, allowed in finetune.RANGES.items() if name != "mix_learning_rate"},
    **dict.fromkeys((*_WEIGHTS, "intermediate_size", "general_tokens", "general_steps", "general_limit_dev"), FROM_0),
    **dict.fromkeys(("heads", "intermediate_steps", "teacher_steps"), FROM_0),
    "layers": Range("0 or more, and at most 1000", 0, 1001),
    **dict.fromkeys(("hidden_size", "temperature", "general_epochs", "general_batch_size"), ABOVE_0),
    **dict.fromkeys(("teacher_epochs", "intermediate_epochs"), ABOVE_0),
    **dict.fromkeys(("teacher_learning_rate", "general_learning_rate", "intermediate_learning_rate"), ABOVE_0),
    **dict.fromkeys(("label_learning_rate", "copies", "candidates"), ABOVE_0),
    "replace_share": Range("a share above 0 and at most 1", 0, 1.0000001, above_low=True),
    "layer_map": Range("layers of the teacher, from 1 on", 1),
    "freeze_up_to": Range("-1: a student that is drawn has nothing to keep", -1, 0),
}


def _has(*arms: str) -> Callable[[TinyBertSettings], bool]:
    return lambda settings: bool({*settings.arms} & {*arms})


_OF_TEACHER = ("teacher_epochs", "teacher_steps", "teacher_learning_rate")
_NO_TEACHER = f"without --arms {', '.join(TAUGHT[:-1])} or {TAUGHT[-1]}"
NEEDS = (
    Need(
        (
            *("distill_from", *_OF_TEACHER, "prediction_weight", "label_weight", "temperature", "learning_rate"),
            "intermediate_learning_rate",
        ),
        _NO_TEACHER,
        _has(*TAUGHT),
    ),
    Need(
        _OF_TEACHER,
        "with --distill-from, a teacher that is fine-tuned already",
        lambda settings: not settings.distill_from,
    ),
    Need((*_WEIGHTS[:3], "layer_map"), "with --arms labels alone", _has(*ARMS[1:])),
    Need(_GENERAL, f"without --arms {', '.join(OF_TEXT[:-1])} or {OF_TEXT[-1]}", _has(*OF_TEXT)),
    Need(("copies", "replace_share", "candidates", "near_words"), "without --arms augmented", _has(AUGMENTED)),
    Need(("label_learning_rate",), "without --arms labels or general", _has("labels", "general")),
    Need(("teacher_epochs",), "with --teacher-steps", lambda settings: not settings.teacher_steps),
    Need(("intermediate_epochs",), "with --intermediate-steps", lambda settings: not settings.intermediate_steps),
    Need(("general_epochs", "general_tokens"), "with --general-steps", lambda settings: not settings.general_steps),
    Need(("general_epochs",), "with --general-tokens", lambda settings: not settings.general_tokens),
    Need(("mix_learning_rate",), "on a student, which has no mix", lambda settings: False),
)


def check(settings: TinyBertSettings) -> None:
    """Refuse settings that do not go together.

    Raises:
        InputError: naming the flags, and what they expect.
    """
    for name, only in (("model", "bert"), ("checkpoint", SCRATCH)):
        if getattr(settings, name) != only:
            raise InputError(
                f"--{name} {getattr(settings, name)}: the student of tiny_bert is drawn as {only} alone; leave it away "
                "(its teacher is named by --teacher)"
            )
    unknown = [name for name in settings.arms if name not in ARMS]
    if unknown or not settings.arms:
        raise InputError(f"--arms{''.join(f' {name}' for name in unknown)}: expected some of {', '.join(ARMS)}")
    check_repeats(settings, ("arms",))
    if not any(getattr(settings, name) for name in _WEIGHTS[:3]):
        by_layers = [name for name in settings.arms if name != "labels"]
        if by_layers:
            raise InputError(
                f"--arms {by_layers[0]}: with --embedding-weight, --hidden-weight and --attention-weight all 0 nothing "
                "is learned of the teacher's layers; leave one of them on, or use --arms labels"
            )
