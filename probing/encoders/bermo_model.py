"""BERMo (Kodge & Roy 2021, arXiv 2110.15802): an encoder whose prediction reads the scalar mix of all its layers.

    h_mix[t] = gamma * sum_{l in S} softmax(w)_l h_l[t]
    pooled   = tanh(W h_mix[first] + b),    logits = V dropout(pooled) + c

The paper's code was never published and its text leaves open whether the embeddings are mixed, whether there is a
gamma and whether states are normalised first: each is a field of `BermoConfig` that says where its default is from.
"""

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput

from probing.scalar_mix import ScalarMix


class BermoConfig(PretrainedConfig):
    """A backbone's configuration and the choices of the mix.

    Args:
        backbone_config: configuration of the encoder underneath, or its dictionary.
        mix_embeddings: whether layer 0 is mixed. Ours: no, since the abstract speaks of one scalar per layer.
        mix_gamma: whether a scale is learned. Ours: yes, after ELMo's scheme, which the abstract names.
        mix_norm: whether states are normalised per token before mixing. Ours: no, ELMo's default.
        mix_dropout: probability of leaving a layer out in training. Ours: 0; UDify (arXiv 1904.02099) has .1.
        classifier_dropout: dropout before the classifier. Ours: .1, as BERT.
    """

    model_type = "bermo"
    sub_configs: ClassVar = {"backbone_config": AutoConfig}  # pyright: ignore

    def __init__(
        self,
        backbone_config: PretrainedConfig | dict[str, Any] | None = None,
        mix_embeddings: bool = False,
        mix_gamma: bool = True,
        mix_norm: bool = False,
        mix_dropout: float = 0.0,
        classifier_dropout: float = 0.1,
        **kwargs: Any,
    ):
        if backbone_config is None:
            backbone_config = {"model_type": "bert"}
        if isinstance(backbone_config, dict):
            values = dict(backbone_config)
            backbone_config = AutoConfig.for_model(values.pop("model_type"), **values)
        self.backbone_config = backbone_config
        self.mix_embeddings = mix_embeddings
        self.mix_gamma = mix_gamma
        self.mix_norm = mix_norm
        self.mix_dropout = mix_dropout
        self.classifier_dropout = classifier_dropout
        self.hidden_size = backbone_config.hidden_size
        self.num_hidden_layers = backbone_config.num_hidden_layers
        super().__init__(**kwargs)


class BermoPreTrainedModel(PreTrainedModel):
    """Base of BERMo models: configuration, weight initialisation, names."""

    config_class = BermoConfig
    base_model_prefix = "bermo"
    _supports_sdpa = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        std = getattr(self.config.backbone_config, "initializer_range", 0.02)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=std)
            nn.init.zeros_(module.bias)
        elif isinstance(module, ScalarMix):
            nn.init.zeros_(module.logits)
            nn.init.ones_(module.gamma)


class BermoModel(BermoPreTrainedModel):
    """The backbone, the mix of its layers, and BERT's pooler on the mix."""

    def __init__(self, config: BermoConfig):
        super().__init__(config)
        self.backbone = AutoModel.from_config(config.backbone_config)
        self.mix = ScalarMix(
            config.num_hidden_layers + config.mix_embeddings,
            scale=config.mix_gamma,
            norm=config.mix_norm,
            dropout=config.mix_dropout,
        )
        self.pooler = nn.Linear(config.hidden_size, config.hidden_size)
        self.post_init()

    @classmethod
    def from_backbone(cls, backbone: PreTrainedModel, **choices: Any) -> "BermoModel":
        """BERMo over a pre-trained encoder, which it takes over as it is.

        The mix starts as the plain average. The pooler is the backbone's own where that has one (BERT), else random.
        """
        model = cls(BermoConfig(backbone.config, **choices))
        model.backbone = backbone
        dense = getattr(getattr(backbone, "pooler", None), "dense", None)
        if isinstance(dense, nn.Linear) and dense.weight.shape == model.pooler.weight.shape:
            model.pooler.load_state_dict(dense.state_dict())
        return model

    def get_input_embeddings(self) -> nn.Module:
        """The word embeddings of the backbone."""
        return self.backbone.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the word embeddings of the backbone."""
        self.backbone.set_input_embeddings(value)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"] | None = None,
        attention_mask: Int[Tensor, "batch tokens"] | None = None,
        **inputs: Any,
    ) -> BaseModelOutputWithPooling:
        """The mixed states, their pooled first token, and the backbone's hidden states of every layer."""
        inputs.pop("output_hidden_states", None)
        inputs.pop("return_dict", None)
        output = self.backbone(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True, return_dict=True, **inputs
        )
        first = 0 if self.config.mix_embeddings else 1
        mixed = self.mix(torch.stack(output.hidden_states[first:]))
        return BaseModelOutputWithPooling(
            last_hidden_state=mixed,
            pooler_output=torch.tanh(self.pooler(mixed[:, 0])),
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def named_rates(self) -> dict[str, list[nn.Parameter]]:
        """The mix's parameters, scalars which move too little at an encoder's rate."""
        return {"mix": list(self.mix.parameters())}

    def measure(self) -> list[tuple[str, int, float]]:
        """For a training's log: the weight of each layer that is mixed, and gamma."""
        mix, first = self.mix, 0 if self.config.mix_embeddings else 1
        weights = [("weight", layer, weight) for layer, weight in enumerate(mix.weights.tolist(), first)]
        return [*weights, ("gamma", -1, mix.gamma.item())]


class BermoForSequenceClassification(BermoPreTrainedModel):
    """BERMo with BERT's classification head: dropout and a linear layer on the pooled mix."""

    def __init__(self, config: BermoConfig):
        super().__init__(config)
        self.bermo = BermoModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, int(config.num_labels or 2))
        self.post_init()

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"] | None = None,
        attention_mask: Int[Tensor, "batch tokens"] | None = None,
        labels: "Int[Tensor, ' batch'] | Float[Tensor, ' batch'] | None" = None,
        **inputs: Any,
    ) -> SequenceClassifierOutput:
        """Logits, and with labels the loss: cross-entropy, or squared error where there is one label (regression)."""
        inputs.pop("return_dict", None)
        output = self.bermo(input_ids=input_ids, attention_mask=attention_mask, **inputs)
        logits = self.classifier(self.dropout(output.pooler_output))
        return SequenceClassifierOutput(
            loss=None if labels is None else self._compute_loss(logits, labels),
            logits=logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def named_rates(self) -> dict[str, list[nn.Parameter]]:
        """The mix's parameters."""
        return self.bermo.named_rates()

    def measure(self) -> list[tuple[str, int, float]]:
        """The mix's numbers, for a training's log."""
        return self.bermo.measure()

    def _compute_loss(self, logits: Float[Tensor, "batch labels"], labels: Tensor) -> Float[Tensor, ""]:
        if self.config.num_labels == 1:
            return F.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
        return F.cross_entropy(logits, labels)
