"""The logistic loss by compiled kernels: each group of sentences is read once, in the cache of a core.

On a matrix unit, vectors and weights are split into two bfloat16 numbers each, whose three products are right to some
5e-6 of the largest component of a gradient: enough to converge to the probe's tolerance, not to the last digit of
float32. Other engines multiply float32.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probing.kernels import find_engine, load_kernels, why_not
from probing.probes.logistic import Labels, count_classes
from probing.store.mapped_arrays import HELD_BYTES, allocate_beside, is_mapped, release

_EXACT_BELOW = 1e-4
"""A tighter tolerance is for products in float32: gradients that are right to some 5e-6 would not do."""
_MOST_CLASSES = {"avx512": 32, "avx2": 14, "neon": 14}
"""Of a mix, by engine; the matrix unit has no such limit."""
MANY_CLASSES = 100
"""From here on the strengths are solved one after the other, from strong to weak, and not all at once."""
_TURN = 6
"""The same where the kernels multiply float32: there each class costs, on a matrix unit each 32 of them. On 4,000
sentences of width 384 in turn takes .6 of the time with 20 classes, .7 to 1.1 with six to eight, 1.4 with two."""
_WORTH_THREADS = 2**26
"""Products of numbers in one evaluation from which on more than one thread is worth waking."""
_MORE = (128, 32)
"""Sentences, and numbers of a vector, that the kernels may add to fill up their blocks."""
_IN_MEMORY = np.empty(0, dtype=np.float32)
"""In place of room on disk."""
_ONCE = torch.empty(0)
"""In place of counts: every sentence counts once."""
Sums = Callable[..., tuple[Tensor, Tensor, Tensor]]
"""Takes weights (rows x hidden) and intercepts (rows) of some problems, row = problem * classes + class, by option how
often each sentence counts, and the columns to read, as runs (first, behind the last), weights being 0 elsewhere. Gives
sums over sentences of the loss of each problem (nats), and of its slopes by weights, which have no meaning where
nothing is read, and by intercepts."""


def can_fuse(vectors: Tensor, labels: Labels, tolerance: float) -> bool:
    """True where the kernels can do it: float32 on a CPU, one class per sentence, no goal too tight for the engine."""
    # Probabilities as labels, float64 and other devices are rare: torch does them, and the kernels stay small.
    simple = vectors.dtype == torch.float32 and vectors.device.type == "cpu" and labels.ndim == 1
    engine = choose_engine()
    return simple and bool(engine) and (engine != "amx" or tolerance >= _EXACT_BELOW)


def choose_engine() -> str:
    """The engine of the probes' products: the matrix unit, or the fastest in float32; empty where torch does them."""
    matrix_unit = find_engine("bfloat16") == "amx"
    return "amx" if matrix_unit else find_engine("float32")


def suits_mix(n_classes: int) -> bool:
    """True where a mix costs less as a probe on all layers side by side than by way of mixed vectors through torch.

    On the matrix unit always; in float32 up to some number of classes, for side by side multiplies each layer by all of
    them (measured at 7 layers of width 384, one thread: equal at some 35 classes with 16 lanes, 15 with fewer).
    """
    return n_classes <= _MOST_CLASSES.get(choose_engine(), n_classes)


def find_turn() -> int:
    """Number of classes from which on strengths are solved in turn by this engine."""
    return MANY_CLASSES if choose_engine() == "amx" else _TURN


def explain_engine() -> str:
    """Name of the engine that computes the probes' products, or why none does."""
    engine = choose_engine()
    return f"{engine}, the fastest engine on this processor" if engine else f"torch: {why_not('float32')}"


def find_room(
    X: Float[np.ndarray, "layers sentences hidden"], n_sentences: int, width: int
) -> Float[np.ndarray, "..."] | None:
    """The place of the kernels' copy of a stack, wherever it stands: in memory, or beside it on disk.

    Args:
        X: the stack.
        n_sentences: that are copied.
        width: of a vector of the copy.

    Returns:
        room for `fuse_loss`; none where the disk has no place.
    """
    return allocate_beside(X, (n_sentences + _MORE[0], width + _MORE[1])) if is_mapped(X) else _IN_MEMORY


def fuse_loss(
    blocks: Iterable[tuple[slice, Float[Tensor, "block hidden"]]],
    hidden: int,
    labels: Labels,
    threads: int = 0,
    room: Float[np.ndarray, "..."] = _IN_MEMORY,
) -> Sums:
    """The loss of all sentences, as a function of weights and intercepts; by option also of how often each counts.

    Args:
        blocks: rows and their vectors, which are copied.
        hidden: width of a vector.
        labels: of all sentences.
        threads: most that are taken; 0: as many as torch takes where the sums are asked for.
        room: where the copy is kept.
    """
    engine, own = choose_engine(), labels.numpy().astype(np.int32)
    kernel, held = load_kernels().LogisticLoss(engine, own, hidden, count_classes(labels), room), 0
    # Filled block by block: the side-by-side copy of a whole stack never stands beside the kernel's own.
    for rows, block in blocks:
        kernel.fill(rows.start, block.contiguous().numpy())
        held += block.nbytes
        if held > HELD_BYTES:
            release(room)
            held = 0
    release(room)

    def add_up(
        weights: Tensor,
        intercepts: Tensor,
        counts: Float[Tensor, "problems sentences"] = _ONCE,
        read: Sequence[tuple[int, int]] = (),
    ) -> tuple[Tensor, Tensor, Tensor]:
        arrays = (part.contiguous().numpy() for part in (weights, intercepts, counts))
        most = threads or torch.get_num_threads()
        # Waking a thread costs some ten microseconds, as much as a small problem's whole evaluation.
        taken = most if weights.numel() * len(labels) >= _WORTH_THREADS else 1
        losses, slopes, intercept_slopes = map(torch.from_numpy, kernel.evaluate(*arrays, read or [(0, hidden)], taken))
        return losses.float(), slopes, intercept_slopes

    return add_up
