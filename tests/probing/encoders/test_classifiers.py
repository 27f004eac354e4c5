import pytest
import torch
from transformers import AutoModelForSequenceClassification

from probing.encoders.bermo_model import BermoModel
from probing.encoders.checkpoints import find_checkpoint, load_model, load_tokenizer
from probing.encoders.classifiers import build_bermo, build_bert, fit_head, name_classes
from probing.records import InputError

BUILDERS = {"bert": build_bert, "bermo": build_bermo}


def build(name, folder, n_labels=3, dropout=0.1, seed=0):
    return BUILDERS[name](find_checkpoint(str(folder)), n_labels, dropout, torch.Generator().manual_seed(seed))


@pytest.fixture
def keep(tmp_path, tiny_folder):
    """Function: a model and the tokenizer in a folder."""

    def save(model):
        model.save_pretrained(tmp_path)
        load_tokenizer(find_checkpoint(str(tiny_folder))).save_pretrained(tmp_path)
        return tmp_path

    return save


def test_both_models_start_from_the_same_encoder_and_the_same_classifier(tiny_folder):
    bert, bermo = (build(name, tiny_folder) for name in BUILDERS)
    assert torch.equal(bert.classifier.weight, bermo.classifier.weight)
    for one, other in zip(bert.bert.encoder.parameters(), bermo.bermo.backbone.encoder.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(bert.classifier.weight, build("bert", tiny_folder, seed=1).classifier.weight)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert", "electra", "modernbert"])
def test_dropout_is_what_was_asked_for_everywhere(name, architecture, tiny_folders):
    model = build(name, tiny_folders(architecture), dropout=0.25)
    assert {part.p for part in model.modules() if isinstance(part, torch.nn.Dropout)} == {0.25}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_classifier_is_kept_where_it_has_as_many_labels_and_drawn_anew_where_not(name, tiny_folder, keep):
    first = build(name, tiny_folder, seed=5)
    folder = keep(first)
    assert torch.equal(build(name, folder, seed=6).classifier.weight, first.classifier.weight)
    assert build(name, folder, n_labels=2, seed=6).classifier.weight.shape[0] == 2


def test_a_trained_mix_is_kept(tiny_folder, keep):
    first = build("bermo", tiny_folder)
    with torch.no_grad():
        first.bermo.mix.logits.copy_(torch.tensor([1.0, -2.0]))
    assert torch.equal(build("bermo", keep(first), n_labels=2).bermo.mix.logits, first.bermo.mix.logits)


def test_a_bermo_is_refused_as_bert(tiny_folder, keep):
    folder = keep(BermoModel.from_backbone(load_model(find_checkpoint(str(tiny_folder)))))
    with pytest.raises(InputError, match="use --model bermo"):
        build("bert", folder)


@pytest.mark.parametrize("name", BUILDERS)
def test_what_is_kept_loads_as_any_other_model(name, tiny_folder, keep):
    first = build(name, tiny_folder)
    again = AutoModelForSequenceClassification.from_pretrained(keep(first))
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("stored", [("no", "yes"), ("yes", "no"), ("LABEL_0", "LABEL_1")])
def test_a_head_for_other_classes_is_drawn_anew_though_it_has_as_many(name, stored, tiny_folder, keep):
    first = build(name, tiny_folder, n_labels=2, seed=5)
    name_classes(first.config, stored)
    folder = keep(first)
    model, generator = build(name, folder, n_labels=2, seed=6), torch.Generator().manual_seed(6)
    assert torch.equal(model.classifier.weight, first.classifier.weight)
    fit_head(model, find_checkpoint(str(folder)), ("no", "yes"), generator)
    assert torch.equal(model.classifier.weight, first.classifier.weight) == (stored != ("yes", "no"))
    assert model.config.id2label == {0: "no", 1: "yes"}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_new_head_is_drawn_once(name, tiny_folder):
    generator = torch.Generator().manual_seed(0)
    checkpoint = find_checkpoint(str(tiny_folder))
    model = BUILDERS[name](checkpoint, 2, 0.1, generator)
    before, state = model.classifier.weight.clone(), generator.get_state()
    fit_head(model, checkpoint, ("no", "yes"), generator)
    assert torch.equal(model.classifier.weight, before)
    assert torch.equal(generator.get_state(), state)
