"""Scores of a supernet's paths on held-out text, whose hidden tokens are the same for every path."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from probing.encoders.masked_lm import predict_at
from probing.training.contracts import Batch, Evaluation, SplitScore

_TOKENS = 65536
"""Of a part of the text that is scored at once: small networks wait for the next command rather than compute."""


class OnePath(Evaluation):
    """Any evaluation of a supernet, on one path."""

    def __init__(self, inner: Evaluation, path: Any):
        self.inner, self.path, self.headline = inner, path, inner.headline

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """The evaluation's numbers."""
        self._take(model)
        return self.inner.measure(model, accelerator)

    def score(self, model: PreTrainedModel, accelerator: Accelerator) -> list[SplitScore]:
        """The evaluation's scores."""
        self._take(model)
        return self.inner.score(model, accelerator)

    def _take(self, model: Any) -> None:
        model.base_model.take_path(self.path)


class PathAccuracy:
    """Masked accuracy of any path of a supernet.

    Args:
        model: the supernet, on its device.
        batch: the tokens, which stay on the device.
        accelerator: device and precision.
    """

    def __init__(self, model: PreTrainedModel, batch: Batch, accelerator: Accelerator):
        self.model, self.accelerator = model.eval(), accelerator
        n_parts = max(1, -(-batch.n_tokens // _TOKENS))
        rows = np.array_split(np.arange(len(batch)), n_parts)
        self.parts = [batch.collate(some, str(accelerator.device)) for some in rows]

    @torch.inference_mode()
    def __call__(self, path: Sequence[int]) -> float:
        """The share of hidden tokens that are the most probable ones on a path."""
        self.model.base_model.take_path(path)  # pyright: ignore
        right = torch.zeros((), dtype=torch.long, device=self.accelerator.device)
        with self.accelerator.autocast():
            for part in self.parts:
                logits = predict_at(self.model, part.inputs, part.places)
                right += (logits.argmax(dim=1) == part.labels).sum()
        return right.item() / sum(len(part.labels) for part in self.parts)
