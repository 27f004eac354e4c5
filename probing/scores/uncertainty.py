"""Uncertainty of a score, given how many sentences it was measured on."""

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t as student

from probing.bootstrap import LEVEL, N_ROW, draw_counts, percentile_interval, wilson_interval
from probing.registry import METRICS

_COUNTS = 2**22
"""Most counts of a bootstrap that are in memory at a time (32 MiB, and some copies): all, up to 4,000 sentences."""
_SHARE = "accuracy"
"""The metric that is a share of sentences."""


def score_with_interval(
    metric: str,
    labels: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"],
    predicted: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "3"]:
    """The score and the bounds of its 95 % interval over sentences.

    An accuracy is a share of independent sentences and has Wilson's interval (1927), which covers near 0 and 1 and on
    small sets too; a bootstrap has no width where all are right. Other metrics have the percentile bootstrap's;
    sentences with the same label and prediction are of one kind there, and drawn as such, from the kinds that
    `smooth_kinds` makes of classes.
    """
    rule = METRICS.load(metric)
    pairs, counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    value = rule(pairs[0], pairs[1], counts[None])[0]
    if metric == _SHARE:
        low, high = find_wilson(int(counts[pairs[0] == pairs[1]].sum()), len(labels))
    else:
        kinds, weights = (pairs, counts) if pairs.dtype.kind == "f" else smooth_kinds(pairs, counts)
        parts = [rule(kinds[0], kinds[1], draw_counts(weights, rng, n)) for n in _split_resamples(len(weights))]
        low, high = percentile_interval(np.concatenate(parts))
    return np.array([value, low, high])


def smooth_kinds(
    pairs: Int[np.ndarray, "2 kinds"], counts: Int[np.ndarray, " kinds"]
) -> tuple[Int[np.ndarray, "2 all_kinds"], Float[np.ndarray, " all_kinds"]]:
    """All pairs of a label and a prediction, and how often each was met, two sentences more spread evenly over them.

    Where few are wrong, a plain bootstrap cannot draw mistakes that it has not seen: of 72 sentences of which 5 % are
    wrong its interval of Matthews' coefficient covers .87, this .92 to .96. It is the idea of Agresti and Coull (1998,
    Am. Stat. 52, 119) for shares, and of Bonett and Price for differences.
    """
    classes = np.unique(pairs)
    places = np.searchsorted(classes, pairs)
    weights = np.full((len(classes),) * 2, 2 / len(classes) ** 2)
    weights[places[0], places[1]] += counts
    return np.stack([side.ravel() for side in np.meshgrid(classes, classes, indexing="ij")]), weights.ravel()


def find_wilson(n_right: int, n: int) -> tuple[float, float]:
    """The bounds of Wilson's 95 % interval of a share."""
    low, high = wilson_interval(n_right / n, n)
    return float(low), float(high)


def means_with_intervals(values: Float[np.ndarray, "readouts sentences"]) -> Float[np.ndarray, "readouts 3"]:
    """The mean of each row and the bounds of its 95 % interval over sentences, of values of any law.

    Hall 1992 (J. R. Stat. Soc. B 54, 221): with the mean m, the deviation s, the skewness g, and Student's t of n - 1,

        m - s h(+- t / sqrt n),    h(x) = 3/g ((1 + g (x - g / 6n))^(1/3) - 1)

    and h(x) = x where g is 0. Bits and norms of gradients are skewed, and measured on few sentences: of 16 norms that
    vary by a half (in logarithms) it covers .93, a percentile bootstrap .90. One value has an interval of no width.
    """
    n = values.shape[1]
    mean = values.mean(axis=1)
    if n == 1:
        return np.column_stack([mean] * 3)
    spread, g = values.std(axis=1, ddof=1), _measure_skew(values)
    least = float(student.ppf((1 + LEVEL) / 2, n - 1) / np.sqrt(n))
    low, high = (mean - spread * _undo_skew(x, g, n) for x in (least, -least))
    return np.column_stack([mean, low, high])


def _measure_skew(values: Float[np.ndarray, "readouts sentences"]) -> Float[np.ndarray, " readouts"]:
    """The adjusted skewness of each row; 0 of rows that do not vary, and of fewer than three values."""
    n, centred = values.shape[1], values - values.mean(axis=1, keepdims=True)
    variance = np.square(centred).mean(axis=1)
    varies = (variance > 0) & (n > 2)
    g = (centred**3).mean(axis=1) / np.where(varies, variance, 1.0) ** 1.5
    return np.where(varies, g, 0.0) * (np.sqrt(n * (n - 1)) / max(n - 2, 1))


def _undo_skew(x: float, g: Float[np.ndarray, " readouts"], n: int) -> Float[np.ndarray, " readouts"]:
    """Hall's h of the formula above; near 0 the cube root would lose its digits."""
    even = np.abs(g) < 1e-6
    g = np.where(even, 1.0, g)
    return np.where(even, x, 3 / g * (np.cbrt(1 + g * (x - g / (6 * n))) - 1))


def _split_resamples(n: int) -> list[int]:
    """Number of resamples of n things to draw at a time, so that their counts fit in memory; all of them in the end.

    One after the other they are the same draws as all at once.
    """
    most = min(N_ROW, max(1, _COUNTS // n))
    return [min(most, N_ROW - begun) for begun in range(0, N_ROW, most)]
