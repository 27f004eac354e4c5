"""The scalar mix of ELMo (Peters et al. 2018, arXiv 1802.05365, eq. 1), which BERMo (arXiv 2110.15802) gives to BERT.

h_mix = gamma * sum_l s_l h_l,    s = softmax(w)
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def mix_layers(
    stack: Float[Tensor, "layers *positions hidden"], weights: Float[Tensor, "*mixes layers"]
) -> Float[Tensor, "... hidden"]:
    """The weighted sum over layers, for one mix or for several at once.

    Args:
        stack: one state per layer and position.
        weights: weights after softmax; leading axes hold independent mixes of the same stack.

    Returns:
        mixes, positions, hidden: the axes of the weights, then those of a position.
    """
    return torch.tensordot(weights, stack, dims=1)


def drop_layers(
    logits: Float[Tensor, " layers"], share: float, generator: torch.Generator | None = None
) -> Float[Tensor, " layers"]:
    """Take each layer out of the mix with probability `share` (UDify, arXiv 1904.02099), never all of them."""
    dropped = torch.rand(logits.shape, device=logits.device, generator=generator) < share
    return logits if bool(dropped.all()) else logits.masked_fill(dropped, float("-inf"))


class ScalarMix(nn.Module):
    """The learned mix: one scalar per layer and one scale.

    Starts as the plain average: w = 0 and gamma = 1, as in ELMo.

    Args:
        n_layers: how many layers are mixed.
        scale: whether gamma is learned; otherwise it stays 1.
        norm: whether each state is normalised to zero mean and unit variance over its own dimensions before
            mixing. Per token and without parameters, so that no sentence moves with its batch mates.
        dropout: probability of leaving a layer out of the mix, in training only.
    """

    def __init__(self, n_layers: int, *, scale: bool = True, norm: bool = False, dropout: float = 0.0):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(n_layers))
        self.gamma: Tensor
        # A buffer where it is not learned: loading a checkpoint would switch the gradient of a parameter on again.
        if scale:
            self.gamma = nn.Parameter(torch.ones(()))
        else:
            self.register_buffer("gamma", torch.ones(()))
        self.norm = norm
        self.dropout = dropout

    @property
    def weights(self) -> Float[Tensor, " layers"]:
        """The weights after softmax; they sum to 1."""
        return self.logits.softmax(dim=0)

    def forward(self, stack: Float[Tensor, "layers *positions hidden"]) -> Float[Tensor, "*positions hidden"]:
        """Mix the states of all layers."""
        if self.norm:
            stack = F.layer_norm(stack, stack.shape[-1:])
        logits = drop_layers(self.logits, self.dropout) if self.training and self.dropout > 0 else self.logits
        return mix_layers(stack, (self.gamma * logits.softmax(dim=0)).to(stack.dtype))
