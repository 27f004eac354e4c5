"""Online (prequential) code length: in how many bits the labels can be sent to someone who has the vectors.

Voita & Titov 2020 (arXiv 2003.12298, section 2.2, eq. 3). The sentences are put in a random order and cut at
t_1 < ... < t_S = n. The first t_1 labels are sent with the uniform code over C classes; then a probe is trained on
the first t_i sentences and codes those up to t_{i+1}:

    L = t_1 log2 C - sum_{i=1}^{S-1} log2 p_i(y_{t_i + 1 .. t_{i+1}} | x_{t_i + 1 .. t_{i+1}})

in bits; compression = n log2 C / L, 1 for a code no better than the uniform one.

Two choices are ours, made so that the code can be decoded from the vectors and C alone, with no dev set on the side:

* Every portion is fitted at several strengths of regularisation k = 1..K, and the code is the Bayesian mixture of the
  K codes, p(y_1..y_n) = (1/K) sum_k p_k(y_1..y_n). It costs at most log2 K bits more than the best of them.
* A probability p, fitted to t sentences, counts as (t p + 1/2) / (t + C/2). For a probe that ignores the vectors this
  is the estimator of Krichevsky & Trofimov (1981); a class that the first t sentences lack costs finitely many bits.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

PORTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Ends of the portions of the data, as shares of the training sentences: those of Voita & Titov."""


def cut_portions(n: int) -> list[int]:
    """The numbers of sentences t_1 < ... < t_S = n; portions that small data cannot tell apart are one."""
    return sorted({max(1, round(share * n)) for share in PORTIONS} | {n})


def smooth(
    log_probability: Float[np.ndarray, "*readouts sentences"], seen: Int[np.ndarray, " sentences"], n_classes: int
) -> Float[np.ndarray, "*readouts sentences"]:
    """log((t p + 1/2) / (t + C/2)), in nats.

    Args:
        log_probability: log p of the true class, in nats; -inf where the probe never saw the class.
        seen: t, how many sentences the probe of each sentence was fitted to; 0 gives 1 / C.
        n_classes: C.
    """
    return np.log((seen * np.exp(log_probability) + 0.5) / (seen + n_classes / 2))


def mix_codes(log_probability: Float[np.ndarray, "*readouts strengths sentences"]) -> np.ndarray:
    """Code length of every sentence, in bits, under the even mixture of the codes of all strengths.

    With S_k(i) = sum_{j <= i} log p_k(y_j), sentence i costs log2 sum_k exp S_k(i - 1) - log2 sum_k exp S_k(i):
    the strengths that coded the past best have the say, and the sum telescopes to the code of the whole.

    Returns:
        One value per readout and sentence: axes `*readouts sentences`.
    """
    sums = np.cumsum(log_probability, axis=-1)
    sums = np.concatenate([np.zeros_like(sums[..., :1]), sums], axis=-1)
    return -np.diff(logsumexp(sums, axis=-2), axis=-1) / np.log(2)


def measure_code(
    bits: Float[np.ndarray, "readouts sentences"], counts: Float[np.ndarray, "samples sentences"], n_classes: int
) -> dict[str, Float[np.ndarray, "readouts samples"]]:
    """Code length and compression of every readout, for several resamples of the sentences.

    A resample counts each sentence's bits as often as it was drawn, with the probes as they are.
    """
    lengths = bits @ counts.T
    return {"code_length_bits": lengths, "compression": counts.sum(axis=1) * np.log2(n_classes) / lengths}


def find_gravity(
    compression: Float[np.ndarray, "layers samples"], layers: Sequence[int]
) -> Float[np.ndarray, " samples"]:
    """Centre of gravity of the compressions, sum_l l c_l / sum_l c_l (Fayyaz et al. 2021, arXiv 2109.05958, eq. 3)."""
    return np.asarray(layers) @ compression / compression.sum(axis=0)
