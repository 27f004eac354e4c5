import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from probing.encoders import bermo
from probing.encoders.bermo_model import BermoConfig, BermoForSequenceClassification, BermoModel
from probing.encoders.bert import build as build_bert
from probing.scalar_mix import mix_layers
from tests.helpers import N_LAYERS, build_config, build_model, save_tokenizer

BACKBONES = ("bert", "roberta", "distilbert")
CHOICES = {
    "mix_embeddings": True,
    "mix_gamma": False,
    "mix_norm": True,
    "mix_dropout": 0.25,
    "classifier_dropout": 0.5,
}
IDS = torch.tensor([[2, 7, 12, 18, 3], [2, 5, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
OPTIONS = {"device": "cpu", "dtype": "float32"}


def make(backbone="bert", **choices):
    return BermoModel.from_backbone(build_model(backbone), **choices).eval()


def make_classifier(backbone="bert", num_labels=3, **choices):
    """A classifier over a tiny backbone whose weights are moved off their starting values."""
    config = BermoConfig(build_config(backbone), num_labels=num_labels, **choices)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = BermoForSequenceClassification(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def run(model, **inputs):
    with torch.no_grad():
        return model(input_ids=IDS, attention_mask=MASK, **inputs)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_choice_of_the_configuration_survives_a_round_trip(backbone, tmp_path):
    config = BermoConfig(build_config(backbone), num_labels=4, **CHOICES)
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert type(again) is BermoConfig
    assert {name: getattr(again, name) for name in CHOICES} == CHOICES
    assert all(getattr(BermoConfig(), name) != value for name, value in CHOICES.items())
    assert again.num_labels == 4
    assert again.backbone_config.to_dict() == config.backbone_config.to_dict()
    assert type(again.backbone_config) is type(config.backbone_config)
    assert (again.hidden_size, again.num_hidden_layers) == (8, N_LAYERS)


def test_backbone_configuration_may_be_a_dictionary_and_is_not_changed():
    given = {"model_type": "roberta", "hidden_size": 8, "num_hidden_layers": 5, "num_attention_heads": 2}
    before = dict(given)
    config = BermoConfig(given)
    assert given == before
    assert (config.backbone_config.model_type, config.num_hidden_layers) == ("roberta", 5)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_model_survives_a_round_trip_through_auto_model(backbone, tmp_path):
    model = make(backbone, mix_norm=True)
    with torch.no_grad():
        model.mix.logits.copy_(torch.tensor([0.4, -0.7]))
        model.mix.gamma.fill_(1.9)
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path)
    assert type(again) is BermoModel
    before, after = run(model), run(again)
    assert torch.equal(before.last_hidden_state, after.last_hidden_state)
    assert torch.equal(before.pooler_output, after.pooler_output)


def test_classifier_survives_a_round_trip_through_its_auto_class(tmp_path):
    model = make_classifier()
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(again) is BermoForSequenceClassification
    assert torch.equal(run(model).logits, run(again).logits)


def test_a_saved_classifier_loads_as_bare_model_and_a_saved_model_as_classifier(tmp_path):
    classifier = make_classifier()
    classifier.save_pretrained(tmp_path / "classifier")
    bare = AutoModel.from_pretrained(tmp_path / "classifier")
    assert torch.equal(run(bare).last_hidden_state, run(classifier.bermo).last_hidden_state)
    bare.save_pretrained(tmp_path / "bare")
    headed = AutoModelForSequenceClassification.from_pretrained(tmp_path / "bare", num_labels=3)
    assert torch.equal(run(headed.bermo).pooler_output, run(bare).pooler_output)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_takes_over_the_states_of_the_backbone(backbone):
    plain, mixed = build_model(backbone), make(backbone)
    expected = run(plain, output_hidden_states=True).hidden_states
    found = run(mixed).hidden_states
    assert len(found) == len(expected) == N_LAYERS + 1
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))


@pytest.mark.parametrize("backbone", ["bert", "roberta"])
def test_takes_over_the_pooler_of_the_backbone(backbone):
    plain, mixed = build_model(backbone), make(backbone)
    assert torch.equal(mixed.pooler.weight, plain.pooler.dense.weight)
    with torch.no_grad():
        mixed.mix.logits.copy_(torch.tensor([-1e4, 0.0]))  # all weight on the last layer: BERT itself
    torch.testing.assert_close(run(mixed).pooler_output, run(plain).pooler_output)


def test_draws_a_pooler_where_the_backbone_has_none():
    pooler = make("distilbert").pooler
    assert float(pooler.weight.detach().std()) == pytest.approx(0.02, rel=0.5)  # 64 draws
    assert not pooler.bias.detach().any()


@pytest.mark.parametrize("mix_embeddings", [False, True])
def test_starts_as_the_plain_average_of_the_mixed_layers(mix_embeddings):
    output = run(make(mix_embeddings=mix_embeddings))
    layers = output.hidden_states[0 if mix_embeddings else 1 :]
    torch.testing.assert_close(output.last_hidden_state, sum(layers) / len(layers))


@pytest.mark.parametrize("mix_norm", [False, True])
def test_formula_against_numpy(mix_norm):
    model = make(mix_embeddings=True, mix_norm=mix_norm)
    raw = np.array([0.5, -1.0, 1.5])
    with torch.no_grad():
        model.mix.logits.copy_(torch.from_numpy(raw))
        model.mix.gamma.fill_(0.6)
    output = run(model)
    layers = [layer.numpy() for layer in output.hidden_states]
    if mix_norm:
        centred = [layer - layer.mean(-1, keepdims=True) for layer in layers]
        layers = [layer / np.sqrt((layer**2).mean(-1, keepdims=True) + 1e-5) for layer in centred]
    weights = np.exp(raw) / np.exp(raw).sum()
    mixed = 0.6 * sum(weight * layer for weight, layer in zip(weights, layers, strict=True))
    close = {"rtol": 1e-4, "atol": 1e-5}  # float32, and the variance of 8 numbers
    np.testing.assert_allclose(output.last_hidden_state.numpy(), mixed, **close)
    dense = model.pooler.weight.detach().numpy(), model.pooler.bias.detach().numpy()
    np.testing.assert_allclose(output.pooler_output.numpy(), np.tanh(mixed[:, 0] @ dense[0].T + dense[1]), **close)


def test_logits_are_a_linear_layer_on_the_pooled_mix():
    model = make_classifier()
    pooled = run(model.bermo).pooler_output
    expected = pooled @ model.classifier.weight.detach().T + model.classifier.bias.detach()
    torch.testing.assert_close(run(model).logits, expected)


@pytest.mark.parametrize("mix_gamma", [False, True])
def test_gamma_is_trained_only_where_the_configuration_says_so(mix_gamma, tmp_path):
    model = make(mix_gamma=mix_gamma)
    assert model.mix.gamma.requires_grad == mix_gamma
    model.save_pretrained(tmp_path)
    assert AutoModel.from_pretrained(tmp_path).mix.gamma.requires_grad == mix_gamma


def test_layers_are_left_out_in_training_only():
    model = make(mix_dropout=0.5)
    model.backbone.eval()

    def outputs():
        return {tuple(run(model).last_hidden_state.flatten().tolist()) for _ in range(20)}

    assert len(outputs()) == 1
    model.mix.train()
    assert len(outputs()) == 3  # the first layer alone, the second alone, both


@pytest.mark.parametrize("mix_norm", [False, True])
def test_no_sentence_moves_with_its_batch_mates(mix_norm):
    model = make(mix_norm=mix_norm)
    with torch.no_grad():
        alone = model(input_ids=IDS[1:, :3]).last_hidden_state[0]
    # One batch has padding and a mask, the other has none: float32 sums in another order.
    torch.testing.assert_close(run(model).last_hidden_state[1, :3], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_gradient_reaches_every_trainable_parameter(backbone):
    model = make_classifier(backbone, mix_embeddings=True)
    model(input_ids=IDS, attention_mask=MASK, labels=torch.tensor([0, 2])).loss.backward()
    without = {
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    }
    # BERMo's own pooler reads the mix; that of the backbone reads the last layer, and nobody reads it.
    assert {name for name in without if ".backbone.pooler." not in name} == set()


def test_gradient_reaches_every_layer_directly_and_without_the_mix_only_the_last():
    model = make_classifier(mix_embeddings=True)
    with torch.no_grad():
        model.bermo.mix.logits.copy_(torch.tensor([0.3, -0.2, 0.1]))

    def first_token_gradients():
        model.bermo.mix.zero_grad()
        output = model(input_ids=IDS, attention_mask=MASK, labels=torch.tensor([0, 2]))
        leaves = torch.stack([layer.detach() for layer in output.hidden_states]).requires_grad_()
        mixed = model.bermo.mix(leaves)
        logits = model.classifier(torch.tanh(model.bermo.pooler(mixed[:, 0])))
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
        return leaves.grad[:, :, 0].norm(dim=(1, 2))

    shared = first_token_gradients()
    # dL/dh_l = gamma s_l dL/dh_mix: the direct path of each layer is its weight.
    torch.testing.assert_close(shared / shared.sum(), model.bermo.mix.weights.detach())
    with torch.no_grad():
        model.bermo.mix.logits.copy_(torch.tensor([-1e4, -1e4, 0.0]))
    assert first_token_gradients()[:2].tolist() == [0, 0]


def test_gradient_by_a_layer_weight_is_its_closed_form():
    """dL/dw_l = gamma s_l <dL/dh_mix, h_l - sum_k s_k h_k>, through the whole model in float64."""
    model = make_classifier(mix_embeddings=True).double()
    mix = model.bermo.mix
    with torch.no_grad():
        mix.logits.copy_(torch.tensor([0.3, -0.9, 0.6]))
        mix.gamma.fill_(1.4)
    kept = {}
    mix.register_forward_hook(lambda module, inputs, output: kept.update(stack=inputs[0], mixed=output))
    output = model(input_ids=IDS, attention_mask=MASK, labels=torch.tensor([0, 2]))
    by_mixed, by_logits = torch.autograd.grad(output.loss, [kept["mixed"], mix.logits])
    stack, shares = kept["stack"].detach(), mix.weights.detach()
    plain = mix_layers(stack, shares)
    expected = [1.4 * share * (by_mixed * (layer - plain)).sum() for share, layer in zip(shares, stack, strict=True)]
    torch.testing.assert_close(by_logits, torch.stack(expected), rtol=1e-9, atol=1e-12)


def test_loss_of_classes_is_the_cross_entropy():
    model = make_classifier()
    output = run(model, labels=torch.tensor([0, 2]))
    logits = output.logits.numpy().astype(float)
    expected = np.mean([np.log(np.exp(row).sum()) - row[label] for row, label in zip(logits, (0, 2), strict=True)])
    assert float(output.loss) == pytest.approx(expected, rel=1e-5)
    assert run(model).loss is None


def test_loss_of_one_label_is_the_squared_error():
    model = make_classifier(num_labels=1)
    output = run(model, labels=torch.tensor([0.5, -2.0]))
    assert output.logits.shape == (2, 1)
    expected = np.mean((output.logits.numpy()[:, 0] - [0.5, -2.0]) ** 2)
    assert float(output.loss) == pytest.approx(expected, rel=1e-5)
    whole = run(model, labels=torch.tensor([1, 3]))  # grades that happen to be whole numbers
    assert float(whole.loss) == pytest.approx(np.mean((whole.logits.numpy()[:, 0] - [1, 3]) ** 2), rel=1e-5)


def test_segments_reach_the_backbone():
    model = make()
    segments = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
    assert not torch.equal(run(model, token_type_ids=segments).last_hidden_state[0], run(model).last_hidden_state[0])


def test_a_fresh_model_is_initialised_like_its_backbone():
    with torch.random.fork_rng(devices=[]):
        model = BermoForSequenceClassification(
            BermoConfig(build_config("bert", hidden_size=64, initializer_range=0.05))
        )
    spread = {name: float(p.detach().std()) for name, p in model.named_parameters() if p.ndim == 2 and p.numel() >= 128}
    assert "bermo.backbone.encoder.layer.1.output.dense.weight" in spread
    for name, found in spread.items():
        assert found == pytest.approx(0.05, rel=0.3), name  # 128 draws or more: within 5 standard errors
    ones = [p for name, p in model.named_parameters() if name.endswith("LayerNorm.weight")]
    assert all(bool((p == 1).all()) for p in ones)
    assert model.bermo.mix.logits.tolist() == [0, 0]
    assert model.bermo.mix.gamma.item() == 1


def test_word_embeddings_are_those_of_the_backbone():
    model = make()
    assert model.get_input_embeddings() is model.backbone.embeddings.word_embeddings


@pytest.mark.parametrize("headed", [False, True])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_trained_folder_can_be_probed(backbone, headed, tmp_path):
    """The layers that are probed are those of its own, fine-tuned backbone."""
    model = make_classifier(backbone)
    (model if headed else model.bermo).save_pretrained(tmp_path)
    save_tokenizer(tmp_path, backbone)
    encoder = bermo.build(str(tmp_path), **OPTIONS)
    tokens = encoder.tokenize([("ada sees dogs .",)])
    found = encoder.encode(tokens, np.arange(1)).layers
    with torch.no_grad():
        expected = model.bermo(input_ids=torch.from_numpy(tokens.ids[0])[None]).hidden_states
    assert encoder.mixes_layers
    assert encoder.layer_names == ("embeddings", "1", "2")
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_over_a_plain_checkpoint_it_has_the_states_and_the_identity_of_bert(tiny_folder):
    mixed, plain = bermo.build(str(tiny_folder), **OPTIONS), build_bert(str(tiny_folder), **OPTIONS)
    assert (mixed.mixes_layers, plain.mixes_layers) == (True, False)
    assert mixed.digest == plain.digest  # so that one finds what the other has cached
