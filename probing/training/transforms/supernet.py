"""A supernet's training: in each step one path, drawn uniformly, learns (arXiv 1904.00420, section 3.2)."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from transformers import PreTrainedModel

from probing.randomness import stream
from probing.training.contracts import Transform


class Paths(Protocol):
    """The paths there are."""

    def draw(self, generator: np.random.Generator) -> Any:
        """One of them, all equally probable."""
        ...


@dataclass
class PathSampling(Transform):
    """Takes one path of a supernet in each step; which one depends on seed and step alone."""

    space: Paths
    """That paths are drawn from."""
    seed: int
    final: Any
    """The path that the finished model is left on."""
    model: Any = field(default=None, init=False)

    def apply(self, model: PreTrainedModel) -> None:
        """Hold the model, whose paths are taken.

        Raises:
            TypeError: it is no supernet.
        """
        self.model = model.base_model
        self.model.take_path(self.final)

    def before_step(self, step: int, n_steps: int) -> None:
        """Take the path of the step."""
        del n_steps
        self.model.take_path(self.space.draw(stream(self.seed, "path", step)))

    def finish(self, model: PreTrainedModel) -> None:
        """Leave the supernet whole, on its final path."""
        del model
        self.model.take_path(self.final)
