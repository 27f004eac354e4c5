"""Summaries of depth by the weights of a mix: of one mix, or of many resamples of it.

With the weights s_l of layer l (after softmax), and the contributions c_l = s_l m_l / sum_k s_k m_k, m_l the mean
length of the layer's vectors about their mean (weights mislead where lengths differ: Fayyaz et al. 2021, arXiv
2109.05958; a constant in all vectors says nothing):

    centre of gravity   E(s) = sum_l l s_l              (Tenney et al. 2019, arXiv 1905.05950, section 3.1), in layers
    entropy             H(s) = - sum_l s_l log2 s_l     in bits; log2 L - H(s) is the KL divergence from even weights
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def describe_mixes(
    weights: Float[np.ndarray, "samples layers"], lengths: Float[np.ndarray, " layers"], layers: Sequence[int]
) -> dict[str, Float[np.ndarray, "values samples"]]:
    """Weights and contributions of each layer, their centres of gravity, and the entropy of the weights.

    Args:
        weights: after softmax.
        lengths: mean length of each layer's vectors about their mean.
        layers: the indices of the layers.
    """
    contributions = weights * lengths
    contributions /= contributions.sum(axis=1, keepdims=True)
    logs = np.log2(weights, out=np.zeros_like(weights), where=weights > 0)
    return {
        "mix_weight": weights.T,
        "mix_contribution": contributions.T,
        "weight_gravity": (weights @ np.asarray(layers))[None],
        "contribution_gravity": (contributions @ np.asarray(layers))[None],
        "weight_entropy_bits": -(weights * logs).sum(axis=1)[None],
    }
