"""Schedules of pruning: how far it has come at a step (Sanh et al. 2020, arXiv 2005.07683, sections 3 and 4)."""


def follow_cubic(
    step: int, n_steps: int, start: float, end: float, *, warmup_share: float = 0.0, cooldown_share: float = 0.0
) -> float:
    """The level at a step: `start` in the warm-up, `end` in the cool-down, between them falling off ever slower.

    v(t) = v_f + (v_i - v_f) (1 - (t - t_i) / (T - t_i - t_f))^3    for t_i <= t < T - t_f

    The printed formula shifts t by t_f too and would not begin at v_i; this is that of the authors' code.

    Args:
        step: t, optimiser steps done.
        n_steps: T.
        start: v_i, such as the share of weights kept, or a threshold.
        end: v_f.
        warmup_share: t_i / T.
        cooldown_share: t_f / T.
    """
    begin, finish = warmup_share * n_steps, (1 - cooldown_share) * n_steps
    if step >= finish:
        return end
    if step < begin:
        return start
    return end + (start - end) * (1 - (step - begin) / (finish - begin)) ** 3


def weigh_penalty(threshold: float, last_threshold: float, last_weight: float) -> float:
    """The weight of soft movement's penalty while the threshold rises: lambda_t = lambda_T * tau_t / tau_T."""
    return last_weight * threshold / last_threshold
