"""KDLSQ-BERT (Jin et al. 2021, arXiv 2101.05938): an encoder in few bits, with packed weights.

What is in few bits: the tables of words and positions, and every matrix of the blocks and of the pooler, with the
inputs of all those maps and the four operands of attention. Biases, norms, the table of segments, a mix of layers and
the classifier stay in float32.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import ModelOutput

from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.packing import PackedEmbedding, PackedLinear
from probing.encoders.quantised_attention import PRODUCTS, STEPS, use_quantised_attention
from probing.encoders.step_size import LEAST_BITS, MOST_BITS, FixedStep
from probing.records import InputError

_COPIED = ("hidden_size", "num_hidden_layers", "vocab_size", "max_position_embeddings", "pad_token_id")


class KdlsqBertConfig(PretrainedConfig):
    """A backbone's configuration, and the bits of each of its matrices.

    Args:
        backbone_config: configuration of the encoder underneath (a BERMo included), or its dictionary.
        weight_bits: bits of each matrix, by the name of its module in the backbone; others stay in float32.
        activation_bits: of the inputs of those maps, and of attention's operands. The authors': 8.
        attentions: modules of the backbone whose products take quantised operands.
        per_row: whether each row of a matrix has a step of its own. The authors': no, one for each matrix.
        classifier_dropout: before the classifier.

    Raises:
        InputError: bits outside 2 to 8.
    """

    model_type = "kdlsq_bert"
    sub_configs: ClassVar = {"backbone_config": AutoConfig}  # pyright: ignore

    def __init__(
        self,
        backbone_config: PretrainedConfig | dict[str, Any] | None = None,
        weight_bits: Mapping[str, int] | None = None,
        activation_bits: int = 8,
        attentions: Sequence[str] = (),
        per_row: bool = False,
        classifier_dropout: float = 0.1,
        **kwargs: Any,
    ):
        if backbone_config is None:
            backbone_config = {"model_type": "bert"}
        if isinstance(backbone_config, dict):
            values = dict(backbone_config)
            backbone_config = AutoConfig.for_model(values.pop("model_type"), **values)
        self.backbone_config = backbone_config
        self.weight_bits, self.activation_bits = dict(weight_bits or {}), activation_bits
        self.attentions, self.per_row = list(attentions), per_row
        self.classifier_dropout = classifier_dropout
        for name, bits in {**self.weight_bits, "activation_bits": activation_bits}.items():
            if not LEAST_BITS <= bits <= MOST_BITS:
                raise InputError(f"kdlsq_bert: {name} has {bits} bits; expected {LEAST_BITS} to {MOST_BITS}")
        inner = getattr(backbone_config, "backbone_config", backbone_config)
        copied = {name: getattr(inner, name) for name in _COPIED if hasattr(inner, name)}
        super().__init__(**(copied | kwargs))


class KdlsqBertPreTrainedModel(PreTrainedModel):
    """Base of KDLSQ-BERT's models: configuration, starting weights, names."""

    config_class = KdlsqBertConfig
    base_model_prefix = "kdlsq_bert"
    _supports_sdpa = True

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=getattr(self.config.backbone_config, "initializer_range", 0.02))
            nn.init.zeros_(module.bias)


class KdlsqBertModel(KdlsqBertPreTrainedModel):
    """The bare encoder, packed as its configuration says."""

    def __init__(self, config: KdlsqBertConfig):
        super().__init__(config)
        self.backbone = AutoModel.from_config(config.backbone_config)
        pack_modules(self.backbone, config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The word embeddings of the backbone."""
        return self.backbone.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the word embeddings of the backbone."""
        self.backbone.set_input_embeddings(value)

    def forward(self, input_ids: Int[Tensor, "batch tokens"] | None = None, **inputs: Any) -> ModelOutput:
        """The backbone's states, and its pooled first token."""
        return self.backbone(input_ids=input_ids, **inputs)


class KdlsqBertForSequenceClassification(KdlsqBertPreTrainedModel):
    """BERT's classification head: dropout and a linear map in float32, on the pooled first token."""

    def __init__(self, config: KdlsqBertConfig):
        super().__init__(config)
        self.kdlsq_bert = KdlsqBertModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, int(config.num_labels or 2))
        self.post_init()

    @classmethod
    def from_classifier(cls, plain: Any) -> "KdlsqBertForSequenceClassification":
        """The same classifier in the shape of this one, nothing of it quantised yet.

        Args:
            plain: BERT's classifier or BERMo's, whose modules are taken over.

        Raises:
            InputError: its head is another one.
        """
        head, dropout = getattr(plain, "classifier", None), getattr(plain, "dropout", None)
        has_pooler = hasattr(plain.base_model, "pooler")
        if not isinstance(head, nn.Linear) or not isinstance(dropout, nn.Dropout) or not has_pooler:
            raise InputError(
                f"{type(plain).__name__}: its head is not BERT's, a linear map of the pooled first token; take a BERT, "
                "or --model bermo, which has that head over any encoder"
            )
        given = plain.config
        labels = {name: getattr(given, name) for name in ("id2label", "label2id")}
        model = cls(KdlsqBertConfig(plain.base_model.config, classifier_dropout=dropout.p, **labels))
        model.kdlsq_bert.backbone, model.classifier = plain.base_model, head
        return model

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"] | None = None,
        attention_mask: Int[Tensor, "batch tokens"] | None = None,
        labels: Tensor | None = None,
        **inputs: Any,
    ) -> SequenceClassifierOutput:
        """Logits, and with labels the loss: cross-entropy, or squared error where there is one label (regression)."""
        output = self.kdlsq_bert(input_ids, attention_mask=attention_mask, **inputs)
        logits = self.classifier(self.dropout(output.pooler_output))
        return SequenceClassifierOutput(
            loss=None if labels is None else self._compute_loss(logits, labels),  # pyright: ignore
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def named_rates(self) -> dict[str, list[nn.Parameter]]:
        """Parameters of a mix, by the name of their rate."""
        backbone = self.kdlsq_bert.backbone
        return backbone.named_rates() if hasattr(backbone, "named_rates") else {}

    def measure(self) -> list[tuple[str, int, float]]:
        """Numbers of a mix, for a training's log."""
        backbone = self.kdlsq_bert.backbone
        return backbone.measure() if hasattr(backbone, "measure") else []

    def _compute_loss(self, logits: Float[Tensor, "batch labels"], labels: Tensor) -> Float[Tensor, ""]:
        if self.config.num_labels == 1:
            return F.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
        return F.cross_entropy(logits, labels)


def pack_modules(backbone: PreTrainedModel, config: KdlsqBertConfig) -> None:
    """Put packed modules, empty yet, in the place of those that have bits, and steps into attention.

    Raises:
        InputError: the backbone has no such module.
    """
    for name, bits in config.weight_bits.items():
        plain = find_module(backbone, name)
        if isinstance(plain, nn.Embedding):
            packed: nn.Module = PackedEmbedding(plain, bits, config.per_row)
        elif isinstance(plain, nn.Linear):
            packed = PackedLinear(plain, bits, config.per_row, config.activation_bits)
        else:
            raise InputError(f"kdlsq_bert: {name} has bits, and is a {type(plain).__name__}; expected a matrix")
        backbone.set_submodule(name, packed)
    for name in config.attentions:
        steps = nn.ModuleDict({product: FixedStep(config.activation_bits) for product in PRODUCTS})
        find_module(backbone, name).add_module(STEPS, steps)
    if config.attentions:
        use_quantised_attention(find_backbone(backbone))


def find_module(backbone: nn.Module, name: str) -> nn.Module:
    """The module of a name.

    Raises:
        InputError: there is none.
    """
    try:
        return backbone.get_submodule(name)
    except AttributeError:
        raise InputError(
            f"kdlsq_bert: {type(backbone).__name__} has no module {name}; its config.json is of another"
        ) from None


def list_places(backbone: PreTrainedModel) -> Iterator[tuple[int, str, nn.Module]]:
    """The matrices that KDLSQ quantises: layer (0: the embeddings; one past the last: the pooler), name, module.

    The table of segments is none of them, as in the authors' code.
    """
    names = {part: name for name, part in backbone.named_modules()}
    blocks = find_blocks(backbone)
    parts = [*blocks, part] if isinstance(part := getattr(backbone, "pooler", None), nn.Module) else blocks
    for layer, block in enumerate(parts):
        for inner in block.modules():
            if isinstance(inner, nn.Linear | nn.Embedding) and "token_type" not in names[inner]:
                yield layer, names[inner], inner


def list_attentions(backbone: PreTrainedModel) -> Iterator[tuple[int, str, nn.Module]]:
    """The modules that multiply queries and keys: layer, name, module."""
    names = {part: name for name, part in backbone.named_modules()}
    for layer, block in enumerate(find_blocks(backbone)):
        for inner in block.modules():
            if all(isinstance(getattr(inner, part, None), nn.Module) for part in PRODUCTS[:3]):
                yield layer, names[inner], inner
