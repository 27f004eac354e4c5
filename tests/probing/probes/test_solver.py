import numpy as np
import pytest
import torch

from probing.probes.solver import minimise, minimise_in_turn


class Quadratics:
    """f_p(x) = 1/2 (x - x*_p)' A_p (x - x*_p) + c_p: the minimum is x*_p and its value c_p."""

    def __init__(self, n=5, size=6, condition=10.0, seed=0, dtype=torch.float64):
        rng = np.random.default_rng(seed)
        self.targets = torch.from_numpy(rng.normal(size=(n, size))).to(dtype)
        self.constants = torch.from_numpy(rng.normal(size=n)).to(dtype)
        matrices = []
        for _ in range(n):
            basis, _ = np.linalg.qr(rng.normal(size=(size, size)))
            matrices.append(basis @ np.diag(np.geomspace(1, condition, size)) @ basis.T)
        self.matrices = torch.from_numpy(np.stack(matrices)).to(dtype)
        self.calls = []

    def __call__(self, points, numbers):
        self.calls.append(numbers.tolist())
        away = points - self.targets[numbers]
        slopes = torch.stack([self.matrices[n] @ row for n, row in zip(numbers.tolist(), away, strict=True)])
        return 0.5 * (away * slopes).sum(dim=1) + self.constants[numbers], slopes


def start_of(problem):
    return torch.zeros_like(problem.targets)


@pytest.mark.parametrize("condition", [1.0, 10.0, 1000.0])
def test_finds_the_closed_form_of_quadratics(condition):
    problem = Quadratics(condition=condition)
    solution = minimise(problem, start_of(problem), tolerance=1e-10)
    assert bool(solution.converged.all())
    # The gradient is down by 1e-10; the error is at most that over the smallest curvature, 1.
    torch.testing.assert_close(solution.points, problem.targets, rtol=0, atol=1e-10 * 10 * condition)
    torch.testing.assert_close(solution.losses, problem.constants, rtol=0, atol=1e-12 * condition)


def test_well_scaled_problems_need_few_passes():
    problem = Quadratics(condition=1.0)
    assert minimise(problem, start_of(problem), tolerance=1e-8).n_iterations == 1
    assert len(problem.calls) == 2  # the start, and one Newton step


def test_what_a_problem_ends_in_does_not_depend_on_its_batch_mates():
    together = Quadratics(n=5, condition=100.0)
    solution = minimise(together, start_of(together), tolerance=1e-6)
    for number in range(5):
        alone = Quadratics(n=5, condition=100.0)

        def one(points, numbers, number=number, alone=alone):
            return alone(points, numbers + number)

        single = minimise(one, start_of(alone)[:1], tolerance=1e-6)
        torch.testing.assert_close(single.points[0], solution.points[number], rtol=0, atol=0)
        assert bool(single.converged[0]) == bool(solution.converged[number])


def test_a_problem_that_has_converged_is_taken_out_of_the_passes():
    problem = Quadratics(n=3, condition=1000.0)
    start = start_of(problem)
    problem.matrices[0] = torch.eye(6, dtype=torch.float64)
    minimise(problem, start, tolerance=1e-8)
    assert 0 in problem.calls[1]
    assert all(0 not in numbers for numbers in problem.calls[3:])


def test_too_few_iterations_are_said_and_the_loss_is_lower_all_the_same():
    problem = Quadratics(condition=1000.0)
    before, _ = problem(start_of(problem), torch.arange(5))
    solution = minimise(problem, start_of(problem), tolerance=1e-12, max_iterations=3)
    assert not bool(solution.converged.any())
    assert solution.n_iterations == 3
    assert bool((solution.losses < before).all())


def test_one_problem_may_converge_where_another_does_not():
    problem = Quadratics(n=2, condition=1000.0)
    problem.matrices[0] = torch.eye(6, dtype=torch.float64)
    assert minimise(problem, start_of(problem), tolerance=1e-12, max_iterations=3).converged.tolist() == [True, False]


def test_a_loss_that_is_not_finite_is_said_not_to_converge_and_harms_no_batch_mate():
    problem = Quadratics(n=3)

    def poisoned(points, numbers):
        losses, gradients = problem(points, numbers)
        bad = numbers == 1
        return losses.masked_fill(bad, float("nan")), gradients.masked_fill(bad.unsqueeze(1), float("nan"))

    solution = minimise(poisoned, start_of(problem), tolerance=1e-8)
    assert solution.converged.tolist() == [True, False, True]
    torch.testing.assert_close(solution.points[[0, 2]], problem.targets[[0, 2]], rtol=0, atol=1e-6)


def test_steps_that_overshoot_are_shortened():
    """log cosh is flat far out, where a quasi-Newton step goes too far; its minimum is the target."""
    target = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
    n_trials = []

    def flat(points, numbers):
        away = points - target
        n_trials.append(len(points))
        return torch.nn.functional.softplus(2 * away).sub(away).sum(dim=1), away.tanh()

    solution = minimise(flat, torch.zeros(1, 2, dtype=torch.float64), tolerance=1e-8)
    assert bool(solution.converged.all())
    assert len(n_trials) > 1 + solution.n_iterations
    torch.testing.assert_close(solution.points, target, rtol=0, atol=1e-6)


def test_a_start_at_the_minimum_stays_there():
    problem = Quadratics()
    solution = minimise(problem, problem.targets, tolerance=1e-6)
    assert torch.equal(solution.points, problem.targets)
    assert bool(solution.converged.all())
    assert solution.n_iterations == 0


def test_the_start_is_not_changed():
    problem = Quadratics()
    start = start_of(problem)
    minimise(problem, start, tolerance=1e-6)
    assert not bool(start.any())


def test_agrees_with_scipy_on_a_problem_that_is_not_quadratic():
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 4)), rng.choice([-1.0, 1.0], size=40)

    def logistic(points, numbers):
        points = points.clone().requires_grad_()
        margins = torch.from_numpy(y) * (points @ torch.from_numpy(X).T)
        losses = torch.nn.functional.softplus(-margins).mean(dim=1) + 0.05 * points.square().sum(dim=1)
        (gradients,) = torch.autograd.grad(losses.sum(), points)
        return losses.detach(), gradients

    def by_scipy(w):
        return np.logaddexp(0, -y * (X @ w)).mean() + 0.05 * w @ w

    expected = minimize(by_scipy, np.zeros(4), tol=1e-12)
    solution = minimise(logistic, torch.zeros(1, 4, dtype=torch.float64), tolerance=1e-9)
    assert float(solution.losses[0]) == pytest.approx(expected.fun, abs=1e-9)
    np.testing.assert_allclose(solution.points[0].numpy(), expected.x, atol=1e-4)  # scipy's numerical gradient


def test_problems_in_turn_start_where_the_two_before_point():
    problem = Quadratics(n=4, condition=100.0)
    problem.targets = torch.linspace(1, 4, 4, dtype=torch.float64).unsqueeze(1) * problem.targets[0]
    turns = list(torch.arange(4).split(1))
    solution = minimise_in_turn(problem, start_of(problem), turns, lambda points, before, now: points, tolerance=1e-9)
    assert bool(solution.converged.all())
    torch.testing.assert_close(solution.points, problem.targets, rtol=0, atol=1e-5)
    evaluations = [problem.calls.count([number]) for number in range(4)]
    # The third and fourth lie on the line of the first two: the start's gradient, the point itself, and a step or two.
    assert max(evaluations[2:]) < 0.5 * min(evaluations[:2])
