"""Scores of a discriminator on replaced tokens of held-out text, at places that are the same for every model.

Which tokens stand there is the generator's: with a worse one, replaced tokens are easier to tell. Discriminators are
compared over one generator, or not at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from probing.encoders.masked_lm import predict_at
from probing.randomness import stream
from probing.training.contracts import Batch, Evaluation, MaskedBlocks, SplitScore
from probing.training.evaluation.by_block import mean_with_interval, score_with_interval, split_rows, write_score
from probing.training.evaluation.classification import has_diverged

Fill = Callable[[Float[Tensor, "hidden_tokens vocab"], MaskedBlocks], Int[Tensor, "batch tokens"]]
"""A generator's logits and some blocks -> the blocks with sampled tokens in place of the hidden ones."""
Detect = Callable[[PreTrainedModel, Int[Tensor, "batch tokens"]], Float[Tensor, "batch tokens"]]
"""A discriminator and tokens -> logits of their being replaced."""


@dataclass(frozen=True)
class TokenAnswers:
    """A discriminator's answers on one split."""

    logits: Float[np.ndarray, "blocks tokens"]
    replaced: Bool[np.ndarray, "blocks tokens"]
    n_hidden: int
    """Tokens that the generator filled; at those that were not replaced it sampled the original."""

    @property
    def right(self) -> Bool[np.ndarray, "blocks tokens"]:
        """True where a token is told right, at even odds."""
        return (self.logits > 0) == self.replaced


@dataclass(frozen=True)
class ReplacedTokens(Evaluation):
    """Accuracy on all tokens and on replaced ones, and the area under the ROC curve, which is dev's headline.

    Args:
        splits: `dev` and, where there is one, `test`, hidden once and for all.
        generator: gives the generator as it is now.
        fill: the objective's, and so is `detect`.
        detect: see there.
        seed: of the resamples that intervals are made of.
    """

    splits: Mapping[str, Batch]
    generator: Callable[[], PreTrainedModel]
    fill: Fill
    detect: Detect
    seed: int
    headline = "dev_score"

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """Mean loss in nats, area under the curve and accuracies on dev, and how often the generator is right."""
        answers = self.answer(model, self.splits["dev"], accelerator)
        signed = np.where(answers.replaced, answers.logits, -answers.logits)
        return {
            "dev_loss": float(np.logaddexp(0, -signed).mean()),
            self.headline: compute_auc(rank(answers.logits), answers.replaced, np.ones(len(answers.logits))),
            "dev_detection_accuracy": float(answers.right.mean()),
            "dev_replaced_accuracy": float(answers.right[answers.replaced].mean()) if answers.replaced.any() else 0.0,
            "dev_replaced_share": float(answers.replaced.mean()),
            "dev_generator_accuracy": 1 - float(answers.replaced.sum()) / answers.n_hidden,
        }

    def score(self, model: PreTrainedModel, accelerator: Accelerator) -> list[SplitScore]:
        """Each metric on each split with intervals over blocks; the majority always answers "original"."""
        found = []
        for split, batch in self.splits.items():
            found += self._score_answers(self.answer(model, batch, accelerator), split)
        return found

    def answer(self, model: PreTrainedModel, batch: Batch, accelerator: Accelerator) -> TokenAnswers:
        """The discriminator's answers on some blocks, in eval mode; processes share the work."""
        generator = self.generator()
        modes = [(one, one.training) for one in (model, generator)]
        parts, found = split_rows(len(batch), batch.n_tokens // len(batch)), []
        model.eval()
        generator.eval()
        with torch.inference_mode(), accelerator.autocast():
            for number in range(len(parts))[accelerator.process_index :: accelerator.num_processes]:
                some = batch.collate(parts[number], str(accelerator.device))
                shown = self.fill(predict_at(generator, some.inputs, some.places), some)
                replaced = shown != some.original
                logits = self.detect(model, shown).float()
                found.append((number, logits.cpu().numpy(), replaced.cpu().numpy(), len(some.places)))
        for one, mode in modes:
            one.train(mode)
        whole = sorted(gather_object(found), key=lambda one: one[0])
        _, logits, replaced, n_hidden = zip(*whole, strict=True)
        return TokenAnswers(np.concatenate(logits), np.concatenate(replaced), sum(n_hidden))

    def _score_answers(self, answers: TokenAnswers, split: str) -> Sequence[SplitScore]:
        rng, replaced, n = stream(self.seed, "interval", "replaced", split), answers.replaced, answers.replaced.size
        blocks = np.broadcast_to(np.arange(len(replaced))[:, None], replaced.shape)
        ranks = rank(answers.logits)
        auc = score_with_interval(lambda counts: compute_auc(ranks, replaced, counts), len(replaced), rng)
        right = mean_with_interval(answers.right.ravel().astype(float), blocks.ravel(), rng)
        told = np.full(3, np.nan)
        if replaced.any():
            told = mean_with_interval(answers.right[replaced].astype(float), blocks[replaced], rng)
        originals = float(1 - replaced.mean())
        return [
            write_score(split, "replaced_auc", auc, n, 0.5, has_diverged(auc[0], 0.5)),
            write_score(split, "detection_accuracy", right, n, originals, not right[0] > originals),
            write_score(split, "replaced_accuracy", told, int(replaced.sum()), 0.0, has_diverged(told[0], 0.0)),
        ]


def rank(logits: Float[np.ndarray, "blocks tokens"]) -> Int[np.ndarray, "blocks tokens"]:
    """The place of each number among all distinct ones, the smallest being 0."""
    return np.unique(logits, return_inverse=True)[1].reshape(logits.shape)


def compute_auc(
    ranks: Int[np.ndarray, "blocks tokens"],
    replaced: Bool[np.ndarray, "blocks tokens"],
    counts: Float[np.ndarray, " blocks"],
) -> float:
    """The probability that a replaced token has the larger logit of a replaced and an original one, ties being half.

    Args:
        ranks: of the tokens' logits.
        replaced: whether each was.
        counts: how often each block counts.

    Returns:
        NaN where one of the kinds is missing.
    """
    weights = np.broadcast_to(counts[:, None], ranks.shape)
    chosen, others = (np.bincount(ranks.ravel(), (weights * kind).ravel()) for kind in (replaced, ~replaced))
    pairs = chosen.sum() * others.sum()
    return float(chosen @ (np.cumsum(others) - others / 2) / pairs) if pairs else float("nan")
