"""What a recipe plans: one entry per model that it makes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from probing.training.contracts import Transform
from probing.training.objectives.supervised import Objective


def no_transforms() -> Sequence[Transform]:
    """Nothing is done to the model."""
    return ()


@dataclass(frozen=True)
class PlannedModel:
    """One model that a recipe makes."""

    name: str
    """Of its cell and folder, unlike that of any other model of the run."""
    seed: int
    objective: Objective
    make_transforms: Callable[[], Sequence[Transform]] = no_transforms
    """Called for each model anew: transforms hold state."""
    method: str = ""
    """How its weights are pruned."""
    sparsity: float = 0.0
    """The share of zeros aimed at."""
    penalty: float = 0.0
    """Weight of soft movement's penalty; 0 where there is none."""
