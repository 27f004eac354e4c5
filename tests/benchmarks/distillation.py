"""Distillation layer by layer: our loop, and the same loop with teacher and student in float32, padded to 128 tokens.

python -m tests.benchmarks.distillation
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.checkpoints import find_checkpoint, load_model
from probing.encoders.new_encoders import Sizes as Student
from probing.encoders.new_encoders import make_config
from probing.settings.run import EMBEDDED
from probing.settings.training import TrainSettings
from probing.training.accelerator import make_accelerator
from probing.training.contracts import Pace
from probing.training.data.labelled import LabelledData, make_labelled
from probing.training.evaluation.teacher_states import HeldOut, TeacherStates
from probing.training.loop import Job, Reporter, train_model
from probing.training.objectives.layer_distillation import LayerDistillation, draw_projection, map_layers
from probing.training.optimiser import Rates
from probing.training.run import find_origin
from probing.training.state import Progress
from tests.benchmarks.screen import open_console, show_comparison
from tests.benchmarks.timing import Comparison, Rounds, Way, compare
from tests.benchmarks.training import MANNERS, Manner, PaddedSplit, load_sentences

_STEPS, _BATCH = 6, 32
_ROUNDS = Rounds(least=3, most=5)


def compare_distillation(checkpoint: str, steps: int, batch: int, rounds: Rounds) -> Comparison:
    """Optimiser steps per second of a student half as deep and half as wide, model building left out."""
    ways = [
        Way(
            manner.name,
            partial(distil, manner, checkpoint, steps, batch),
            steps,
            partial(distil, manner, checkpoint, 1, batch),
            lambda progress: progress.seconds,
        )
        for manner in MANNERS
    ]
    return compare(f"distillation of embeddings, states and attention, batches of {batch}", "steps", ways, rounds)


def distil(manner: Manner, checkpoint: str, steps: int, batch: int) -> Progress:
    """Some steps: one pass over as many sentences as they take."""
    settings = TrainSettings(checkpoint=checkpoint, device="cpu", dtype=manner.dtype)  # pyright: ignore
    origin, accelerator = find_origin(settings), make_accelerator(settings)
    split: Any = make_labelled(load_sentences(steps * batch), origin).splits["train"]
    split = PaddedSplit(split, origin.limit) if manner.padded else split
    teacher: Any = find_backbone(load_model(find_checkpoint(checkpoint))).eval().requires_grad_(False)
    n_layers, width = len(find_blocks(teacher)) - 1, teacher.config.hidden_size
    heads = teacher.config.num_attention_heads
    sizes = Student(width // 2, -(-n_layers // 2), heads)
    model = AutoModel.from_config(make_config("bert", sizes, origin.tokenizer, origin.limit), add_pooling_layer=False)
    weights: dict[str, float] = dict.fromkeys(("embedding", "hidden", "attention"), 1.0)
    projection = draw_projection(width // 2, width, "cpu")
    objective = LayerDistillation(teacher, map_layers(sizes.layers, n_layers), weights, projection)
    nothing = HeldOut([torch.arange(2).numpy()], split.collate)
    job = Job(
        model, LabelledData(split, batch, 0), objective, (), TeacherStates({"dev": nothing}, objective.compute, 0),
        Rates(), Pace(max_steps=steps, evaluate_every=steps), 0, Path(os.devnull) / "none",
    )  # fmt: skip
    return train_model(job, accelerator, Reporter())


if __name__ == "__main__":
    show_comparison(compare_distillation(EMBEDDED, _STEPS, _BATCH, _ROUNDS), open_console())
