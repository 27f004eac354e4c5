"""An encoder of letters: random vectors, and how they meet their neighbours. Its layers bear names, not numbers."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from probing.contracts.encoder import HiddenStates, Tokens
from probing.records import InputError

LIMIT = 24
FILE = "letters.json"


def tiny(folder: Path) -> str:
    """A checkpoint is a seed."""
    (folder / FILE).write_text(json.dumps({"seed": 7}))
    return str(folder)


def build(
    checkpoint: str, *, max_length: int = 0, dtype: str = "auto", device: str = "auto", backend: str = "auto"
) -> "LetterEncoder":
    """The encoder of a seed.

    Raises:
        InputError: there is none, or it is to compute in another way than it can.
    """
    if dtype == "bfloat16" or backend == "fused" or device not in ("auto", "cpu"):
        raise InputError(f"letters: float32 by way of torch on a cpu alone, got {dtype}, {backend}, {device}")
    if not (Path(checkpoint) / FILE).is_file():
        raise InputError(f"--checkpoint {checkpoint}: expected a folder with {FILE}")
    return LetterEncoder(checkpoint, min(max_length or LIMIT, LIMIT))


class LetterEncoder:
    """Letters, then letters and their neighbours, then those again, wider."""

    layer_names = ("embeddings", "neighbours", "wider")
    hidden_sizes = (6, 6, 8)
    hidden_size = 8
    dtype, device, backend = "float32", "cpu", "torch"
    mixes_layers = False
    revision = ""

    def __init__(self, checkpoint: str, max_length: int):
        self.checkpoint, self.max_length = checkpoint, max_length
        content = (Path(checkpoint) / FILE).read_bytes()
        self.digest = sha256(b"letters" + content).hexdigest()
        generator = torch.Generator().manual_seed(json.loads(content)["seed"])
        self._letters = torch.randn(256, 6, generator=generator)
        self._maps = [torch.randn(2 * n_in, n_out, generator=generator) / n_in**0.5 for n_in, n_out in ((6, 6), (6, 8))]

    def tokenize(self, texts) -> Tokens:
        """Bytes; a pair has a line break between its segments, and every text ends in a full stop."""
        whole = ["\n".join(text).encode() + b"." for text in texts]
        ids = tuple(np.frombuffer(text[: self.max_length], dtype=np.uint8).astype(np.int64) for text in whole)
        none = tuple(np.zeros(len(one), dtype=np.int64) for one in ids)
        truncated = np.array([len(text) > self.max_length for text in whole], dtype=bool)
        return Tokens(ids, none, tuple(one.astype(bool) for one in none), truncated)

    @torch.inference_mode()
    def encode(self, tokens: Tokens, rows) -> HiddenStates:
        """Every text by itself, then filled up."""
        texts = [self._run(torch.from_numpy(tokens.ids[row])) for row in rows]
        longest = max(len(text[0]) for text in texts)
        mask = torch.stack([torch.arange(longest) < len(text[0]) for text in texts])
        layers = tuple(
            torch.stack([self._fill(text[layer], longest) for text in texts]) for layer in range(len(self.layer_names))
        )
        return HiddenStates(layers, mask, torch.zeros_like(mask))

    def _run(self, ids):
        states = [self._letters[ids]]
        for matrix in self._maps:
            before = torch.cat([torch.zeros_like(states[-1][:1]), states[-1][:-1]])
            states.append(torch.tanh(torch.cat([states[-1], before], dim=1) @ matrix))
        return states

    def _fill(self, state, longest):
        return torch.nn.functional.pad(state, (0, self.hidden_size - state.shape[1], 0, longest - len(state)))
