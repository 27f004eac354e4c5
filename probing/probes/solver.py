"""Many independent smooth minimisations at once: L-BFGS with one line search per problem.

Nocedal & Wright 2006, Numerical Optimization, algorithms 7.4 and 7.5, with the sufficient-decrease test (3.4). All
problems advance together, so that one pass over the data serves all of them; a problem that has converged is taken
out of the passes that follow.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Objective = Callable[
    [Float[Tensor, "active parameters"], Int[Tensor, " active"]],
    tuple[Float[Tensor, " active"], Float[Tensor, "active parameters"]],
]
"""Loss and gradient of some of the problems, at one point for each; takes the points and the problems' numbers."""

_DECREASE = 1e-4
"""Share of the decrease that the slope promises which a step must bring (Nocedal & Wright, section 3.1)."""
_SHRINK = 0.3
"""Factor by which a step is shortened when it does not: in scaled coordinates the full step fits nearly always."""
_MOST_TRIALS = 12
"""Shortened so often a step is 5e-7 of itself: below that, float32 sees no change."""
_FULL_CREW = 0.75
"""When no more than this share of the problems at work is still active, the others are let go, memory and all."""
State = tuple[Float[Tensor, "problems parameters"], Float[Tensor, " problems"], Float[Tensor, "problems parameters"]]
"""Points, and their losses and gradients."""
History = deque[tuple[Tensor, Tensor, Tensor]]
"""The last steps, the changes of the gradient that they made, and 1 / (step . change)."""


Result = TypeVar("Result")


def alone(work: Callable[[], Result]) -> Result:
    """Do something on one thread: arrays of a solver are small, and threads would wait for one another in each step."""
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return pool.submit(work).result()


@dataclass(frozen=True)
class Solution:
    """End of the minimisation."""

    points: Float[Tensor, "problems parameters"]
    losses: Float[Tensor, " problems"]
    gradient_norms: Float[Tensor, " problems"]
    converged: Bool[Tensor, " problems"]
    """True where the gradient fell below its goal."""
    n_iterations: int

    def pick(self, numbers: Int[Tensor, " chosen"]) -> "Solution":
        """Some of the problems."""
        points, losses = self.points[numbers], self.losses[numbers]
        return Solution(points, losses, self.gradient_norms[numbers], self.converged[numbers], self.n_iterations)


def minimise(
    objective: Objective,
    start: Float[Tensor, "problems parameters"],
    *,
    tolerance: float,
    max_iterations: int = 300,
    memory: int = 10,
    numbers: Int[Tensor, " problems"] | None = None,
    reference: Float[Tensor, " problems"] | None = None,
) -> Solution:
    """Minimise every problem until the largest component of its gradient is `tolerance` times what it was at the start.

    The objective should be scaled so that its curvature is near 1 in every direction: then the first steps are
    Newton's, and few iterations are needed.
    """
    numbers = torch.arange(len(start), device=start.device) if numbers is None else numbers
    points = start.clone()
    losses, gradients = objective(points, numbers)
    goals = tolerance * (gradients.abs().amax(dim=1) if reference is None else reference)
    history: History = deque(maxlen=memory)
    crew = torch.arange(len(points), device=points.device)
    stuck = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    n_iterations = 0
    while n_iterations < max_iterations:
        active = (gradients[crew].abs().amax(dim=1) > goals[crew]) & ~stuck[crew]
        n_active = int(active.sum())
        if n_active == 0:
            break
        # Picking rows out of ten pairs of history copies them: worth it when a quarter of the problems has ended.
        if n_active <= _FULL_CREW * len(crew):
            history = deque(((step[active], change[active], rho[active]) for step, change, rho in history), memory)
            crew, active = crew[active], active[active]
        n_iterations += 1
        before = points[crew], losses[crew], gradients[crew]
        after, stuck[crew] = _search(objective, numbers[crew], before, _direction(before[2], history), active)
        _remember(history, after[0] - before[0], after[2] - before[2])
        points[crew], losses[crew], gradients[crew] = after
    norms = gradients.abs().amax(dim=1)
    return Solution(points, losses, norms, norms <= goals, n_iterations)


def minimise_in_turn(
    objective: Objective,
    start: Float[Tensor, "problems parameters"],
    turns: Sequence[Int[Tensor, " turn"]],
    carry: Callable[
        [Float[Tensor, "turn parameters"], Int[Tensor, " turn"], Int[Tensor, " turn"]], Float[Tensor, "turn parameters"]
    ],
    *,
    tolerance: float,
    max_iterations: int = 300,
) -> Solution:
    """Minimise groups of problems one after the other, each from where the solutions of the two before it point.

    Solutions move along the groups as on a line: going as far again from the last one saves a third of the iterations
    that starting at it takes. Worth it where the arithmetic, and not the passes over the data, is what costs: then
    nothing is gained by doing all problems at once, and much by starting near the end.

    Args:
        objective: of all problems.
        start: where the first group starts, and where the gradient is taken that `tolerance` is a share of.
        turns: the numbers of the problems of each group; the groups are of one size.
        carry: takes points, the problems they solve and the problems to start; gives the starting points.
        tolerance: as in `minimise`.
        max_iterations: for each group.
    """
    points, converged = start.clone(), torch.zeros(len(start), dtype=torch.bool, device=start.device)
    losses, norms, n_iterations = start.new_empty(len(start)), start.new_empty(len(start)), 0
    for place, numbers in enumerate(turns):
        reference = None
        if place > 0:
            reference = objective(start[numbers], numbers)[1].abs().amax(dim=1)
            last, *earlier = (carry(points[one], one, numbers) for one in turns[max(place - 2, 0) : place][::-1])
            points[numbers] = 2 * last - earlier[0] if earlier else last
        part = minimise(
            objective, points[numbers], tolerance=tolerance, max_iterations=max_iterations, numbers=numbers,
            reference=reference,
        )  # fmt: skip
        points[numbers], losses[numbers], norms[numbers] = part.points, part.losses, part.gradient_norms
        converged[numbers] = part.converged
        n_iterations += part.n_iterations
    return Solution(points, losses, norms, converged, n_iterations)


def _direction(gradients: Tensor, history: History) -> Tensor:
    """The quasi-Newton direction by the two-loop recursion; steepest descent where that does not point downhill."""
    result, shares = -gradients, []
    for step, change, rho in reversed(history):
        share = rho * (step * result).sum(dim=1)
        result.addcmul_(share.unsqueeze(1), change, value=-1)
        shares.append(share)
    if history:
        # The start of the recursion: the curvature met last, as a multiple of the identity (7.20).
        step, change, rho = history[-1]
        scale = (step * change).sum(dim=1) / (change * change).sum(dim=1).clamp_min(1e-30)
        result *= torch.where(rho > 0, scale, torch.ones_like(scale)).unsqueeze(1)
    for (step, change, rho), share in zip(history, reversed(shares), strict=True):
        result.addcmul_((share - rho * (change * result).sum(dim=1)).unsqueeze(1), step)
    # Rounding near the end may turn a direction uphill, where no step would be found.
    downhill = (result * gradients).sum(dim=1, keepdim=True) < 0
    return torch.where(downhill, result, -gradients)


def _search(
    objective: Objective, numbers: Tensor, start: State, direction: Tensor, active: Tensor
) -> tuple[State, Bool[Tensor, " problems"]]:
    """Move each active problem along its direction; where they are then, and which of them no step could lower."""
    origin, before, _ = start
    points, losses, gradients = (part.clone() for part in start)
    slope = (direction * gradients).sum(dim=1)
    length = torch.ones_like(losses)
    # Losses near the optimum differ by less than their rounding: allow for that much.
    slack = 4 * torch.finfo(losses.dtype).eps * (1 + before.abs())
    pending = active.nonzero().squeeze(1)
    for _ in range(_MOST_TRIALS):
        trial = origin[pending] + length[pending].unsqueeze(1) * direction[pending]
        trial_losses, trial_gradients = objective(trial, numbers[pending])
        bound = before[pending] + _DECREASE * length[pending] * slope[pending] + slack[pending]
        passed = trial_losses <= bound
        done = pending[passed]
        points[done], losses[done], gradients[done] = trial[passed], trial_losses[passed], trial_gradients[passed]
        pending = pending[~passed]
        if len(pending) == 0:
            break
        length[pending] *= _SHRINK
    stuck = torch.zeros_like(active)
    stuck[pending] = True
    return (points, losses, gradients), stuck


def _remember(history: History, step: Tensor, change: Tensor) -> None:
    """Keep a pair of step and change of gradient; a problem without positive curvature there gets weight 0."""
    curvature = (step * change).sum(dim=1)
    sound = curvature > 1e-10 * step.norm(dim=1) * change.norm(dim=1)
    rho = torch.where(sound, 1 / curvature.clamp_min(1e-30), torch.zeros_like(curvature))
    history.append((step, change, rho))
