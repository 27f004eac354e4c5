"""Scores of a masked language model at hidden tokens of held-out text, which are the same for every model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from jaxtyping import Bool, Float, Int
from torch.nn import functional as F
from transformers import PreTrainedModel

from probing.encoders.masked_lm import predict_at
from probing.randomness import stream
from probing.training.contracts import Batch, Evaluation, SplitScore
from probing.training.evaluation.by_block import mean_with_interval, split_rows, write_score
from probing.training.evaluation.classification import has_diverged


@dataclass(frozen=True)
class HiddenAnswers:
    """A model's predictions at the hidden tokens of one split, in the order of the text."""

    losses: Float[np.ndarray, " hidden_tokens"]
    """-log p(token), in nats."""
    right: Bool[np.ndarray, " hidden_tokens"]
    """True where the token is the most probable one."""
    labels: Int[np.ndarray, " hidden_tokens"]
    blocks: Int[np.ndarray, " hidden_tokens"]
    """The block that each is of."""


@dataclass(frozen=True)
class MaskedTokens(Evaluation):
    """Accuracy and bits at hidden tokens; dev's accuracy while the model is trained.

    Args:
        splits: `dev` and, where there is one, `test`, hidden once and for all.
        counts: how often each token is in the training text: always the most frequent one is what accuracies are held
            against, and frequencies what bits are.
        seed: of the resamples that intervals are made of.
    """

    splits: Mapping[str, Batch]
    counts: Int[np.ndarray, " vocab"]
    seed: int
    headline = "dev_score"

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """Mean loss in nats, and accuracy, on dev."""
        answers = predict_hidden(model, self.splits["dev"], accelerator)
        return {"dev_loss": float(answers.losses.mean()), self.headline: float(answers.right.mean())}

    def score(self, model: PreTrainedModel, accelerator: Accelerator) -> list[SplitScore]:
        """Accuracy, and bits per hidden token, of each split with intervals over blocks."""
        found = []
        for split, batch in self.splits.items():
            found += self.score_answers(predict_hidden(model, batch, accelerator), split)
        return found

    def score_answers(self, answers: HiddenAnswers, split: str) -> Sequence[SplitScore]:
        """The scores of one split's answers."""
        rng, n = stream(self.seed, "interval", "masked", split), len(answers.labels)
        # Each token is taken to have been seen once more than it was: else one that was not seen costs infinitely much.
        probabilities = (self.counts + 1) / (self.counts + 1).sum()
        guessed = float((answers.labels == self.counts.argmax()).mean())
        coded = float(-np.log2(probabilities[answers.labels]).mean())
        right = mean_with_interval(answers.right.astype(float), answers.blocks, rng)
        bits = mean_with_interval(answers.losses / np.log(2), answers.blocks, rng)
        return [
            write_score(split, "masked_accuracy", right, n, guessed, has_diverged(right[0], guessed)),
            write_score(split, "bits_per_token", bits, n, coded, not bits[0] < coded),
        ]


def predict_hidden(model: PreTrainedModel, batch: Batch, accelerator: Accelerator) -> HiddenAnswers:
    """A model's predictions at all hidden tokens of some blocks, in eval mode; processes share the work."""
    was_training = model.training
    model.eval()
    parts, found = split_rows(len(batch), batch.n_tokens // len(batch)), []
    with torch.inference_mode():
        for number in range(len(parts))[accelerator.process_index :: accelerator.num_processes]:
            rows = parts[number]
            some = batch.collate(rows, str(accelerator.device))
            with accelerator.autocast():
                logits = predict_at(model, some.inputs, some.places).float()
            losses = F.cross_entropy(logits, some.labels, reduction="none")
            right, blocks = logits.argmax(dim=1) == some.labels, some.places // some.original.shape[1]
            found.append((number, *(one.cpu().numpy() for one in (losses, right, some.labels)),
                          rows[blocks.cpu().numpy()]))  # fmt: skip
    model.train(was_training)
    whole = sorted(gather_object(found), key=lambda one: one[0])
    losses, right, labels, blocks = (np.concatenate(column) for column in list(zip(*whole, strict=True))[1:])
    return HiddenAnswers(losses.astype(float), right, labels, blocks)
