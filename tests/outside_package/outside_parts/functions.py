"""A pooling and a metric."""

import numpy as np
import torch

from probing.contracts.pooling import declare_shares


def share_last(tokens, lengths):
    """Shares of the last token of each text that is read: 1 for it, 0 for the others."""
    ends = np.cumsum(lengths)
    shares = np.zeros(len(tokens), dtype=np.float32)
    shares[[end - 1 - np.argmax(tokens[end - n : end][::-1]) for n, end in zip(lengths, ends, strict=True)]] = 1
    return shares


@declare_shares(share_last)
def pool_last(states, positions):
    """The state of the last position that is read."""
    last = positions.shape[1] - 1 - positions.long().flip(1).argmax(dim=1)
    return states[torch.arange(len(states)), last].float()


def mean_recall(labels, predicted, counts):
    """Mean over the classes that occur of the share that was found of each."""
    recalls = np.zeros(len(counts))
    occurring = np.zeros(len(counts))
    for label in np.unique(labels):
        n = counts @ (labels == label)
        recalls += (counts @ ((labels == label) & (predicted == label))) / np.maximum(n, 1)
        occurring += n > 0
    return recalls / np.maximum(occurring, 1)
