"""Contract of a metric: the rule that makes one number of labels and predictions."""

from collections.abc import Callable
from typing import Literal, Protocol, TypeVar

import numpy as np
from jaxtyping import Float, Int

Values = Int[np.ndarray, " pairs"] | Float[np.ndarray, " pairs"]


Labels = Literal["classes", "two classes", "scores"]
Rule = TypeVar("Rule", bound=Callable[..., object])


def declare_labels(labels: Labels) -> Callable[[Rule], Rule]:
    """Decorator of a metric that is defined for some kind of labels alone."""

    def declare(rule: Rule) -> Rule:
        rule.takes = labels  # pyright: ignore[reportFunctionMemberAccess]
        return rule

    return declare


class Metric(Protocol):
    """A pure function of weighted (label, prediction) pairs, for many weightings at once.

    It depends on how often each pair occurs and on nothing else: not on the order of the pairs. Where it is undefined
    (0 / 0) it is 0. One that is defined for some kind of labels alone says so by `declare_labels`.
    """

    def __call__(
        self, labels: Values, predicted: Values, counts: Int[np.ndarray, "samples pairs"], /
    ) -> Float[np.ndarray, " samples"]:
        """The metric of each weighting.

        Args:
            labels: class indices or, in a graded task, scores.
            predicted: of the same kind.
            counts: how often each pair occurs, in each weighting: 0 or more, and not all of them 0.
        """
        ...
