"""Pre-training: our loop, and the same model in a plain Hugging Face loop: float32, logits of every token.

One such loop pads each paragraph to the length of a block, as a collator for lines does; the other one has blocks
without padding, as ours.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForMaskedLM, DataCollatorForLanguageModeling

from probing.encoders.checkpoints import find_checkpoint, load_tokenizer
from probing.progress import Reporter as Quiet
from probing.tasks.controlled.corpus import list_sentences
from probing.training.accelerator import make_accelerator
from probing.training.data.running_text import Text
from probing.training.data.text_sources import find_source
from probing.training.loop import Job, Reporter, train_model
from probing.training.plan import Origin, Start
from probing.training.recipes.pretrain import PretrainSettings, find_origin, prepare_text
from probing.training.recipes.pretrain_stages import plan_stage
from probing.training.throughput import count_per_token
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.timing import Comparison, Way, compare

_CORPUS = Path(os.environ.get("PROBING_CORPORA", "/nowhere")) / "text" / "fiction" / "dev.txt.xz"
_LENGTH = 128
_ROWS = 8
"""Sentences of the training's batch for each block of this one."""
_RATE = 1e-4


@dataclass(frozen=True)
class Taken:
    """What some steps took."""

    seconds: float
    tokens: int
    """Padding not counted."""


def compare_pretraining(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """Tokens per second in optimiser steps, padding not counted; model building and dev left out."""
    rows = max(1, sizes.batch // _ROWS)
    names = {
        "ours": partial(train, checkpoint, rows, "auto"),
        "ours, as if float32 were all": partial(train, checkpoint, rows, "float32"),
        "float32, every logit, blocks": partial(train_as_usual, checkpoint, rows, padded=False),
        "float32, every logit, padded": partial(train_as_usual, checkpoint, rows, padded=True),
    }
    tokens = {name: run(sizes.steps).tokens for name, run in names.items()}
    ways = [
        Way(name, partial(run, sizes.steps), tokens[name], lambda: None, lambda taken: taken.seconds)
        for name, run in names.items()
    ]
    comparison = compare(f"pre-training, {rows} blocks of {_LENGTH} a step", "tokens", ways, sizes.rounds)
    padded = rows * sizes.steps * _LENGTH
    comparison.facts["padding of the last way, percent"] = 100 * (1 - tokens["float32, every logit, padded"] / padded)
    comparison.facts["MFLOP of products a token, ours"] = count(checkpoint, rows) / 1e6
    return [comparison]


def train(checkpoint: str, rows: int, dtype: str, steps: int) -> Taken:
    """Our loop, going on from a checkpoint."""
    job, accelerator = make_job(checkpoint, rows, dtype, steps)
    progress = train_model(job, accelerator, Reporter())
    return Taken(progress.seconds, progress.n_tokens)


def count(checkpoint: str, rows: int) -> float:
    """Operations for each token of our loop."""
    return count_per_token(*make_job(checkpoint, rows, "float32", 1))


def make_job(checkpoint: str, rows: int, dtype: str, steps: int) -> tuple[Job, Any]:
    """The parts of our loop."""
    settings, origin, text = prepare(checkpoint, rows, dtype, steps)
    accelerator, stage = make_accelerator(settings), plan_stage("pretrain", settings, origin, text, 0)
    start = Start(origin.checkpoint, {})
    model = stage.build(start, torch.Generator().manual_seed(0))
    job = Job(
        model, stage.data(start), stage.objective(start, model), stage.transforms(start), stage.evaluation(start),
        stage.rates, stage.pace, 0, Path(os.devnull) / "none",
    )  # fmt: skip
    return job, accelerator


def prepare(checkpoint: str, rows: int, dtype: str, steps: int) -> tuple[PretrainSettings, Origin, Text]:
    """Settings, encoder and text of our loop."""
    settings = PretrainSettings(
        checkpoint=checkpoint, text=(str(find_text()),), device="cpu", dtype=dtype, max_steps=steps,  # pyright: ignore
        evaluate_every=steps, batch_size=rows, limit_dev=1, max_length=_LENGTH, learning_rate=_RATE,
        cache_dir=Path(gettempdir()) / "bench-text",
    )  # fmt: skip
    origin = find_origin(settings, print)
    return settings, origin, prepare_text(settings, origin, Quiet(quiet=True))


def train_as_usual(checkpoint: str, rows: int, steps: int, *, padded: bool) -> Taken:
    """Transformers' model and collator, AdamW, clipping: what most scripts do."""
    found = find_checkpoint(checkpoint)
    tokenizer: Any = load_tokenizer(found)
    tokenizer.mask_token = tokenizer.mask_token or "[MASK]"
    model: Any = AutoModelForMaskedLM.from_pretrained(
        found.folder, dtype=torch.float32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    ).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=_RATE)
    examples = list_padded(checkpoint) if padded else list_blocks(checkpoint)
    loader: Any = DataLoader(examples, rows, collate_fn=DataCollatorForLanguageModeling(tokenizer))  # pyright: ignore
    seconds, tokens, batches = 0.0, 0, iter(loader)
    for _ in range(steps):
        start = time.perf_counter()
        batch = next(batches)
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        seconds += time.perf_counter() - start
        tokens += int(batch["attention_mask"].sum())
    return Taken(seconds, tokens)


@cache
def list_padded(checkpoint: str) -> list[dict[str, list[int]]]:
    """The paragraphs of the text, each padded to the length of a block."""
    tokenizer = load_tokenizer(find_checkpoint(checkpoint))
    limit = min(_LENGTH, tokenizer.model_max_length)
    texts = list(find_source((str(find_text()),)).splits["train"]())[:2000]
    whole = tokenizer(texts, truncation=True, padding="max_length", max_length=limit)
    return [
        {"input_ids": ids, "attention_mask": mask}
        for ids, mask in zip(whole.input_ids, whole.attention_mask, strict=True)
    ]


@cache
def list_blocks(checkpoint: str) -> list[dict[str, list[int]]]:
    """The text as blocks without padding."""
    _, _, text = prepare(checkpoint, 1, "float32", 1)
    blocks = text.splits["train"][:2000].tolist()
    return [{"input_ids": block, "attention_mask": [1] * len(block)} for block in blocks]


@cache
def find_text() -> Path:
    """Novels where the corpora are at hand, else sentences of the controlled grammar; a file that counts as train."""
    path = Path(gettempdir()) / "bench-text" / "sentences.txt"
    path.parent.mkdir(exist_ok=True)
    if _CORPUS.is_file():
        link = path.with_name("novels.txt.xz")
        if not link.exists():
            link.symlink_to(_CORPUS)
        return link
    path.write_text("\n".join(_draw_lines()), encoding="utf-8")
    return path


def _draw_lines() -> Iterator[str]:
    sizes = {"train": 600, "dev": 60, "test": 60}
    return (line for lines in list_sentences(sizes=sizes).values() for line in lines)
