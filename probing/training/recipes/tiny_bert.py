"""TinyBERT (Jiao et al. 2020, arXiv 1909.10351): a small student that learns its teacher's layers, then its answers.

    general       running text, the encoder that was never fine-tuned:  embedding + hidden + attention
    intermediate  the task's sentences, the fine-tuned teacher:         embedding + hidden + attention
    prediction    the same:                                             logits

Arms leave stages out, or put labels in their place, at equally many steps on the task.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from probing.encoders.blocks import find_backbone
from probing.encoders.checkpoints import find_checkpoint, load_model, load_tokenizer
from probing.encoders.limits import choose_limit
from probing.encoders.new_encoders import Sizes
from probing.encoders.tiny_checkpoints import write_bert
from probing.progress import Reporter
from probing.training.data.labelled import load_task, make_labelled
from probing.training.origins import check_reader_of_first_token, check_teacher_of_states, outline_new
from probing.training.plan import ModelPlan, Origin, Recipe, RunPlan
from probing.training.recipes.tiny_bert_settings import NEEDS, RANGES, TAUGHT, TinyBertSettings, check
from probing.training.recipes.tiny_bert_stages import GENERAL, OF_TEXT, TEACHER, School

_STUDENT = "text"
"""Name of the students of running text, which arms begin with."""


def find_origin(settings: TinyBertSettings, warn: Any) -> Origin:
    """The outline of the student.

    Raises:
        InputError: the teacher, its tokenizer or the sizes cannot be used.
    """
    checkpoint = find_checkpoint(settings.teacher)
    tokenizer = load_tokenizer(checkpoint)
    teacher = find_backbone(load_model(checkpoint))
    length, config = choose_limit(settings.max_length, teacher, tokenizer), cast(Any, teacher.config)
    layers, heads = settings.layers or -(-config.num_hidden_layers // 2), settings.heads or config.num_attention_heads
    sizes = Sizes(settings.hidden_size, layers, heads, settings.intermediate_size)
    if set(settings.arms) & set(TAUGHT) and not settings.distill_from:  # it will be fine-tuned first
        check_reader_of_first_token(teacher, checkpoint, warn)
    elif set(settings.arms) & set(OF_TEXT):
        check_teacher_of_states(teacher, checkpoint, warn)
    return outline_new("bert", sizes, tokenizer, length)


def plan(settings: TinyBertSettings, origin: Origin, reporter: Reporter) -> RunPlan:
    """The teacher; with each seed, a student of running text that arms begin with, and one student per arm.

    Raises:
        InputError: data that cannot be used, or a teacher that cannot teach this student or task.
    """
    labelled = make_labelled(load_task(settings, reporter), origin, reporter)
    school = School(settings, origin, labelled, reporter)
    models = []
    if set(settings.arms) & set(TAUGHT):
        models.append(ModelPlan(TEACHER, 0, (school.plan_teacher(),), {"arm": TEACHER}, serves=True))
    for seed in settings.seeds:
        name = f"{_STUDENT}-seed-{seed}"
        if set(settings.arms) & set(OF_TEXT):
            models.append(ModelPlan(name, seed, (school.plan_general(seed),), {"arm": _STUDENT}, serves=True))
        for arm in settings.arms:
            needs = [(name, GENERAL)] if arm in OF_TEXT else []
            needs += [(TEACHER, TEACHER)] if arm in TAUGHT else []
            plan_arm = school.plan_taught if arm in TAUGHT else school.plan_labels
            models.append(ModelPlan(f"{arm}-seed-{seed}", seed, plan_arm(arm, seed), {"arm": arm}, needs))
    return RunPlan(models, school.source)


def try_out(folder: Path) -> Mapping[str, Any]:
    """A tiny teacher, a task of letters and a little text in a folder, and the settings for trying the recipe."""
    encoder, task, text = folder / "encoder", folder / "tasks" / "letters", folder / "text"
    for one in (encoder, task, text):
        one.mkdir(parents=True)
    halves = {"early": "abcdef", "late": "uvwxyz"}
    for split, first, n in (("train", 0, 48), ("dev", 48, 20), ("test", 68, 20)):
        labels = [("early", "late")[row % 2] for row in range(n)]
        # No two numbers have the same three digits to base 6.
        numbers = [7 * (first + row) % 6**3 for row in range(n)]
        rows = [
            [halves[label][number // place % 6] for place in (36, 6, 1)]
            for label, number in zip(labels, numbers, strict=True)
        ]
        lines = [f"{' '.join(row)}\t{label}\n" for row, label in zip(rows, labels, strict=True)]
        (task / f"{split}.tsv").write_text("sentence\tlabel\n" + "".join(lines), encoding="utf-8")
        (text / f"{split}.txt").write_text(
            "".join(f"{' '.join(8 * row)}\n" for row in zip(*rows, strict=True)), "utf-8"
        )
    return {
        **{"teacher": write_bert(encoder), "task": "letters", "data": str(folder / "tasks"), "text": (str(text),)},
        **{"cache_dir": folder / "cache", "max_length": 16, "hidden_size": 4, "layers": 1, "heads": 2},
        **{"general_steps": 3, "intermediate_steps": 3, "general_batch_size": 4, "arms": ("both",)},
    }


_GENTLE = {"teacher_learning_rate": 1e-2, "teacher_steps": 60, "intermediate_learning_rate": 1e-2}

RECIPE = Recipe(TinyBertSettings, plan, RANGES, check, NEEDS, origin=find_origin, tiny=try_out, gentle=_GENTLE)
