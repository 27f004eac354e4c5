"""A frozen Hugging Face encoder: hidden states of every layer, whatever the architecture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from inspect import signature
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from probing.contracts.encoder import Batching, Change, HiddenStates, Tokens, Wait
from probing.encoders.block_outputs import BlockOutputs, find_change_obstacle
from probing.encoders.characters import find_characters
from probing.encoders.checkpoints import Checkpoint, list_passed_over, load_tokenizer
from probing.encoders.first_state import find_first_state
from probing.encoders.fused import FusedModel
from probing.encoders.inputs import ModelInputs, group_rows, pad_rows
from probing.encoders.limits import check_rows, choose_limit
from probing.encoders.model_facts import compute_digest, find_window, name_layers
from probing.encoders.placement import can_compute, choose_device, choose_dtype, choose_engine
from probing.encoders.unpadded import UnpaddedModel
from probing.encoders.unpadded import find_obstacle as find_row_obstacle
from probing.records import InputError, Text


class TransformerEncoder:
    """A frozen Hugging Face encoder that gives the hidden states of all its layers.

    Obeys `probing.contracts.encoder.Encoder`. Of its seven arguments five are flags of a run, handed on as they are.

    Args:
        model: the bare encoder in float32; it is frozen, put in eval mode, converted and moved in place.
        checkpoint: where the model and its tokenizer come from.
        dtype: `float32`, `bfloat16`, or `auto` for bfloat16 where the device computes it natively.
        device: `cpu`, `cuda`, `cuda:1`, ..., or `auto` for the first GPU there is.
        max_length: limit in tokens; 0 takes the encoder's own.
        backend: `torch`; `fused` for compiled kernels that pool while they encode (on a CPU); `unpadded` for texts in a
            row, without padding; or `auto` for `fused` on a CPU and `unpadded` on an accelerator, where they can be
            had. `backend_reason` says which of them it is and why, or why it is none.
        mixes_layers: whether the model reads the mix of its layers (BERMo) or its last layer alone.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        checkpoint: Checkpoint,
        *,
        dtype: str = "auto",
        device: str = "auto",
        max_length: int = 0,
        backend: str = "auto",
        mixes_layers: bool = False,
    ):
        tokenizer = load_tokenizer(checkpoint)
        self.checkpoint, self.revision, self.mixes_layers = checkpoint.name, checkpoint.revision, mixes_layers
        self.digest = compute_digest(model, tokenizer)
        self.device = choose_device(device)
        self.hidden_size = int(model.config.hidden_size)
        self.layer_names = name_layers(model)
        self.hidden_sizes = getattr(model.config, "layer_sizes", (self.hidden_size,) * len(self.layer_names))
        self.max_length = choose_limit(max_length, model, tokenizer)
        self.model = model.eval().requires_grad_(False)
        self._flags = _list_flags(model)
        self._inputs = ModelInputs(tokenizer, model.config, self.max_length)
        self.unknown_id = self._inputs.unknown_id
        self._characters = find_characters(model)
        self.copies_states = self._characters is not None
        """True where states are copies beside the way that gradients take through the model."""
        check_rows(model, tokenizer, checkpoint.name)
        self.notes = list_passed_over(checkpoint)
        """Warnings about the checkpoint."""
        if not isinstance(tokenizer, PreTrainedTokenizerFast):
            self.notes.append(f"{type(tokenizer).__name__} is written in Python: making tokens takes far longer")
        if tokenizer.cls_token and not self.tokenize([("a",)]).special[0].any():
            self.notes.append(
                f"checkpoint {checkpoint.name}: its tokenizer has {tokenizer.cls_token} and adds no mark to a text, as "
                "its model has hardly read any; save it with what adds them (its post-processor)"
            )
        self._first_state = find_first_state(self.model, self._make_example("cpu"))
        if self._first_state:  # vectors that were kept of states in other places are others
            self.digest = sha256(f"{self.digest}, from what the first block reads".encode()).hexdigest()
        self.dtype = self._choose_dtype(dtype)
        self._open_backend(backend)
        self.batching: Batching = "padded"
        self.pads_to = find_window(model)

    def _make_example(self, device: str) -> dict[str, Any]:
        """The model's inputs for a small text."""
        return self._inputs.collate(self._inputs.tokenize([("a", "b")]), np.arange(1), device) | self._flags

    def _open_backend(self, backend: str) -> None:
        """Choose what computes, and convert and move the model."""
        engine, self.backend_reason = choose_engine(backend, self.model, self.dtype, self.device)
        self.backend = "fused" if engine else "torch"
        self._fused = FusedModel(self.model, engine, takes_types=self._inputs.takes_types) if engine else None
        in_a_row = backend == "unpadded" or (backend == "auto" and self.device != "cpu")
        obstacle = self._find_row_obstacle("float32") if in_a_row else ""
        self.model.to(torch.device(self.device), getattr(torch, self.dtype))  # pyright: ignore
        obstacle = obstacle or (self._find_row_obstacle(self.dtype) if in_a_row else "")
        self._unpadded = self._open_unpadded(backend, obstacle) if in_a_row else None

    def tokenize(self, texts: Sequence[Text]) -> Tokens:
        """Tokens of each text, cut to `max_length`; an empty text keeps its special tokens only."""
        return self._inputs.tokenize(texts)

    @torch.inference_mode()
    def encode(self, tokens: Tokens, rows: Int[np.ndarray, " batch"]) -> HiddenStates:
        """Hidden states of some of the tokenised texts, in the order of `rows`.

        Texts of one length make a batch without padding and without a mask, which is the fast way.
        """
        return self.compute_states(tokens, rows, {})

    def pool(
        self,
        tokens: Tokens,
        rows: Int[np.ndarray, " batch"],
        shares: Float[np.ndarray, " tokens"],
        largest: bool,
    ) -> Float[np.ndarray, "layers batch hidden"]:
        """Pool as `PoolingEncoder.pool` does, on as many threads as torch takes; with the fused backend only."""
        if self._fused is None:
            raise TypeError("pool: only with the fused backend; `encode` gives hidden states with any")
        return self._fused.pool(tokens, rows, shares, largest, torch.get_num_threads())

    def start_pool(
        self,
        tokens: Tokens,
        rows: Int[np.ndarray, " batch"],
        shares: Float[np.ndarray, " tokens"],
        largest: bool,
    ) -> Wait:
        """Begin to pool as `OverlappingEncoder.start_pool` does; with the unpadded backend only."""
        if self._unpadded is None:
            raise TypeError("start_pool: only with the unpadded backend; `encode` gives hidden states with any")
        return self._unpadded.start_pool(tokens, rows, shares, largest)

    def _find_row_obstacle(self, dtype: str) -> str:
        if self._characters or self._first_state:
            return f"states of {type(self.model).__name__} are not read as it gives them"
        return find_row_obstacle(self.model, self._inputs, dtype)

    def _open_unpadded(self, backend: str, obstacle: str) -> UnpaddedModel | None:
        """The model with sentences in a row, or none where there is an obstacle, which is kept as the reason.

        Raises:
            InputError: `unpadded` was asked for, and cannot be.
        """
        if obstacle and backend == "unpadded":
            raise InputError(f"--backend unpadded: {obstacle}; use --backend auto")
        if obstacle:
            self.backend_reason += f"; not without padding: {obstacle}"
            return None
        self.backend = "unpadded"
        self.backend_reason = f"torch, sentences in a row without padding, on {self.device}"
        return UnpaddedModel(self.model, takes_types=self._inputs.takes_types)

    def find_change_obstacle(self) -> str:
        """Find what hinders `encode_changed`; empty where nothing does."""
        if self.copies_states:
            return f"states of {type(self.model).__name__} are repeated for each character"
        tokens = self.tokenize([("a b a",)])
        try:
            return find_change_obstacle(self.model, lambda: self.encode(tokens, np.arange(1)).layers)
        except InputError as error:
            return str(error)

    @torch.inference_mode()
    def encode_changed(
        self, tokens: Tokens, rows: Int[np.ndarray, " batch"], changes: Sequence[tuple[int, Change]]
    ) -> Iterator[HiddenStates]:
        """Encode as `ChangeableEncoder.encode_changed` does, by torch whatever the backend is."""
        outputs = BlockOutputs(self.model)
        with outputs.record() as recorded:
            plain = self.encode(tokens, rows)
        yield plain
        for layer, change in changes:
            above: tuple[Tensor, ...] = ()
            if layer + 1 < len(plain.layers):
                with outputs.change(recorded, layer, change):
                    above = self.encode(tokens, rows).layers[layer + 1 :]
            yield replace(plain, layers=(*plain.layers[:layer], change(plain.layers[layer]), *above))

    def collate(self, tokens: Tokens, rows: Int[np.ndarray, " batch"]) -> dict[str, Tensor]:
        """The inputs of some texts, as keywords of the model or of one with a head on it."""
        return self._inputs.collate(tokens, rows, self.device)

    def compute_states(
        self, tokens: Tokens, rows: Int[np.ndarray, " batch"], tensors: Mapping[str, Tensor]
    ) -> HiddenStates:
        """Compute as `encode` does, with other tensors for some parameters and buffers, and with their gradient.

        Args:
            tokens: of all texts.
            rows: which of them.
            tensors: by their names in `model`; those that require a gradient get one. The model itself stays frozen.
        """
        lengths = np.array([len(tokens.ids[row]) for row in rows])
        special = pad_rows([tokens.special[row] for row in rows], False).to(self.device)
        mask = pad_rows([np.ones(length, dtype=bool) for length in lengths], False).to(self.device)
        groups = group_rows(lengths, self.batching)
        parts = [self._compute_group(tokens, rows[group], tensors) for group in groups]
        if len(parts) == 1:
            return HiddenStates(parts[0], mask, special)
        layers = [states[0].new_zeros((*mask.shape, states[0].shape[-1])) for states in zip(*parts, strict=True)]
        for group, part in zip(groups, parts, strict=True):
            for layer, states in zip(layers, part, strict=True):
                layer[torch.from_numpy(group).to(self.device), : states.shape[1]] = states
        return HiddenStates(tuple(layers), mask, special)

    def _compute_group(
        self, tokens: Tokens, rows: Int[np.ndarray, " group"], tensors: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        inputs = self._inputs.collate(tokens, rows, self.device)
        length = inputs["input_ids"].shape[1]
        inputs = (self._characters.extend(inputs) if self._characters else inputs) | self._flags
        states = tuple(functional_call(self.model, dict(tensors), (), inputs).hidden_states)
        states = self._characters.align(states, length) if self._characters else states
        return self._first_state.put_first(states) if self._first_state else states

    def _choose_dtype(self, dtype: str) -> str:
        """The number format asked for; with `auto`, float32 where the architecture cannot compute in bfloat16."""
        chosen = choose_dtype(dtype, self.device)
        inputs = self._make_example(self.device)
        if chosen == "float32" or can_compute(self.model, inputs, torch.bfloat16):
            return chosen
        if not can_compute(self.model, inputs, torch.float32):
            return chosen  # it is not for the number format: the check of the encoder says what it is for
        kind = type(self.model).__name__
        if dtype != "auto":
            raise InputError(f"--dtype {dtype}: {kind} cannot compute in it on {self.device}; use --dtype float32")
        self.notes.append(f"{kind} cannot compute in bfloat16 on {self.device}: it is encoded in float32")
        return "float32"


def _list_flags(model: PreTrainedModel) -> dict[str, bool]:
    """Options of a forward pass, by the names of its parameters."""
    flags = {"output_hidden_states": True}
    if "use_cache" in signature(model.forward).parameters:
        flags["use_cache"] = False  # of keys and values, which generation alone needs
    return flags
