"""Contract of the function that makes an encoder with a classification head.

Apart from the encoder's contract, since it loads transformers, which a probing run does without until it encodes.
"""

from typing import Any, Protocol

from torch import Generator
from transformers import PreTrainedModel


class BuildClassifier(Protocol):
    """A function that makes an encoder with a classification head, to be trained."""

    def __call__(self, checkpoint: Any, n_labels: int, dropout: float, generator: Generator, /) -> PreTrainedModel:
        """The model, a new head drawn from the generator.

        Args:
            checkpoint: a `probing.encoders.checkpoints.Checkpoint`: weights and tokenizer, found on this machine.
            n_labels: number of classes; 1 for a regression.
            dropout: inside the encoder and before the classifier.
            generator: draws the weights of a new classifier.
        """
        ...
