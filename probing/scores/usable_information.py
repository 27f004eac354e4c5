"""V-usable information: how many bits about the label a probe of a given family finds in a vector.

Xu et al. 2020 (arXiv 2002.10689, definition 2), with log to the base 2:

    I_V(X -> Y) = H_V(Y) - H_V(Y | X),    H_V(Y | X) = inf_{f in V} E[ -log2 f[X](Y) ]

H_V(Y) is the same for probes that see nothing: here the training shares pi of the classes. The infimum is taken over
the fitted probe f and its blends with the shares,

    f_a[x](y)  proportional to  pi(y) (f[x](y) / pi(y))^a,    a >= 0 chosen on dev,

which for a linear probe are linear probes too. Without it a probe that was chosen by its accuracy, and is too sure of
itself, would seem to hold less than nothing; a = 0 ignores the vector. Per sentence the difference is the pointwise
V-information of Ethayarajh et al. 2022 (arXiv 2110.08420, eq. 3).
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

_SHARPEST = 4.0
_HALVINGS = 12
_FLOOR = 1e-12
"""Share of a class that train lacks."""
_LEAST_LOG = -300.0


def pointwise_information(
    dev: Float[np.ndarray, "dev classes"],
    dev_labels: Int[np.ndarray, " dev"],
    test: Float[np.ndarray, "sentences classes"],
    test_labels: Int[np.ndarray, " sentences"],
    shares: Float[np.ndarray, " classes"],
) -> Float[np.ndarray, " sentences"]:
    """Bits that the probe's vectors give about each test sentence's label; negative where they mislead.

    Their mean is the usable information: 0 for a probe that knows no more than the shares, at most the entropy of
    the shares.

    Args:
        dev: log probabilities (nats) of each class, on dev.
        dev_labels: the true classes there.
        test: log probabilities on the sentences that are scored.
        test_labels: the true classes there.
        shares: of the classes in train.
    """
    prior = np.log(np.maximum(shares, _FLOOR))
    blend = choose_blend(dev, dev_labels, prior)
    log_probs = blend_with_prior(test, prior, blend)[np.arange(len(test_labels)), test_labels]
    return (log_probs - prior[test_labels]) / np.log(2)


def choose_blend(
    log_probabilities: Float[np.ndarray, "sentences classes"],
    labels: Int[np.ndarray, " sentences"],
    prior: Float[np.ndarray, " classes"],
) -> float:
    """The exponent a with the least log loss on these sentences, between 0 and 4.

    With the evidence e(y) = log f(y) - log pi(y), the loss falls with a as long as the true classes have more
    evidence than f_a expects, and it is convex: the end of that is found by halving.
    """
    evidence = gather_evidence(log_probabilities, prior)
    found = float(evidence[np.arange(len(labels)), labels].mean())
    low, high = 0.0, _SHARPEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = (np.exp(blend_with_prior(log_probabilities, prior, middle)) * evidence).sum(axis=1).mean()
        low, high = (middle, high) if found > expected else (low, middle)
    return low


def blend_with_prior(
    log_probabilities: Float[np.ndarray, "sentences classes"], prior: Float[np.ndarray, " classes"], blend: float
) -> Float[np.ndarray, "sentences classes"]:
    """Log probabilities of f_a."""
    logits = prior + blend * gather_evidence(log_probabilities, prior)
    return logits - logsumexp(logits, axis=1, keepdims=True)


def gather_evidence(
    log_probabilities: Float[np.ndarray, "sentences classes"], prior: Float[np.ndarray, " classes"]
) -> Float[np.ndarray, "sentences classes"]:
    """Evidence that the probe adds to the prior; finite, since -inf * 0 is no number."""
    return np.maximum(log_probabilities, _LEAST_LOG) - prior
