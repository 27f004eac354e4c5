"""C-BERT against BERT itself: a label is what a segment was."""

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, BertConfig, BertModel

import probing.encoders.architectures  # noqa: F401 - so that transformers knows ours
from probing.encoders import c_bert
from probing.encoders.c_bert_model import CBertConfig, CBertForMaskedLM, CBertModel, condition, forget_labels
from probing.encoders.checkpoints import find_checkpoint, load_tokenizer
from probing.encoders.inputs import ModelInputs
from probing.encoders.tiny_checkpoints import disturb
from probing.records import InputError
from tests.helpers import build_config

IDS = torch.tensor([[2, 7, 8, 9, 3], [2, 11, 7, 6, 3]])


@pytest.fixture
def masked_lm():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return disturb(AutoModelForMaskedLM.from_config(build_config("bert"))).eval()


def make(model, labels=("no", "yes"), table=None, seed=0):
    return condition(model, labels, table, torch.Generator().manual_seed(seed)).eval()


@torch.no_grad()
def test_two_labels_are_the_two_segments_of_the_model_before(masked_lm):
    conditional = make(masked_lm)
    assert conditional.config.label_table == "segments"
    for label in (0, 1):
        types = torch.full_like(IDS, label)
        expected = masked_lm(IDS, token_type_ids=types).logits
        assert torch.equal(conditional(IDS, token_type_ids=types).logits, expected)


@torch.no_grad()
def test_labels_change_what_is_predicted(masked_lm):
    one, other = (
        make(masked_lm)(IDS, token_type_ids=torch.full_like(IDS, label)).logits.softmax(dim=2) for label in (0, 1)
    )
    assert (one - other).abs().max() > 1e-3


def test_more_labels_have_new_rows_and_all_other_weights_stay(masked_lm):
    conditional = make(masked_lm, "abcde")
    table = conditional.bert.embeddings.token_type_embeddings.weight
    assert conditional.config.label_table == "new"
    assert table.shape == (5, masked_lm.config.hidden_size)
    assert table.std().item() == pytest.approx(0.02, rel=0.4)  # 40 numbers or more: two standard errors are a fifth
    before = masked_lm.state_dict()
    same = {name: torch.equal(tensor, before[name]) for name, tensor in conditional.state_dict().items()
            if "token_type" not in name}  # fmt: skip
    assert all(same.values())
    assert torch.equal(table, make(masked_lm, "abcde").bert.embeddings.token_type_embeddings.weight)
    assert not torch.equal(table, make(masked_lm, "abcde", seed=1).bert.embeddings.token_type_embeddings.weight)


@torch.no_grad()
def test_a_text_without_a_label_gets_the_mean_of_all_labels(masked_lm):
    model = make(masked_lm, "abc").bert
    own = model.embeddings
    rows = own.word_embeddings.weight[IDS] + own.position_embeddings.weight[: IDS.shape[1]]
    expected = own.LayerNorm(rows + own.token_type_embeddings.weight.mean(dim=0))
    torch.testing.assert_close(own(IDS), expected)
    plain = forget_labels(model).eval()
    assert type(plain) is BertModel
    torch.testing.assert_close(plain(IDS).last_hidden_state, model(IDS).last_hidden_state)


@torch.no_grad()
def test_it_loads_by_transformers_own_classes(masked_lm, tmp_path):
    conditional = make(masked_lm, ("a", "b", "c"))
    conditional.save_pretrained(tmp_path)
    types = torch.full_like(IDS, 2)
    again = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    assert type(again) is CBertForMaskedLM
    assert again.config.label_names == ["a", "b", "c"]
    assert torch.equal(again(IDS, token_type_ids=types).logits, conditional(IDS, token_type_ids=types).logits)
    bare = AutoModel.from_pretrained(tmp_path).eval()
    assert type(bare) is CBertModel
    expected = conditional.bert(IDS).last_hidden_state
    assert torch.equal(bare(IDS).last_hidden_state, expected)
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=4).eval()
    assert torch.equal(classifier.bert(IDS).last_hidden_state, expected)
    assert classifier(IDS).logits.shape == (2, 4)


def test_nobody_gives_it_segments(tmp_path):
    encoder = c_bert.build(c_bert.tiny(tmp_path), device="cpu", dtype="float32")
    pair = encoder.tokenize([("a b", "c")])
    assert pair.types[0].max() == 1
    assert not encoder._inputs.takes_types
    tokenizer = load_tokenizer(find_checkpoint(str(tmp_path)))
    assert not ModelInputs(tokenizer, AutoModel.from_pretrained(tmp_path).config, 16).takes_types


def test_going_on_from_a_c_bert_keeps_it(masked_lm):
    conditional = make(masked_lm)
    assert make(conditional) is conditional


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("abc", "the C-BERT knows 2 labels, and the task has 3"),
        (("yes", "no"), "knows the labels no, yes, and the task"),
    ],
)
def test_a_c_bert_of_other_labels_is_refused(masked_lm, labels, message):
    with pytest.raises(InputError, match=message):
        make(make(masked_lm), labels)


def test_what_no_table_can_be_made_of_is_refused(masked_lm):
    with pytest.raises(InputError, match="the task 3 labels; expected 2 of both"):
        make(masked_lm, "abc", "segments")
    with pytest.raises(InputError, match="of type roberta; expected bert"):
        make(AutoModelForMaskedLM.from_config(build_config("roberta")))
    with pytest.raises(InputError, match="n_labels 1"):
        CBertConfig(n_labels=1)
    with pytest.raises(InputError, match="two segments, and there are 4 labels"):
        CBertConfig(n_labels=4, label_table="segments")


def test_its_configuration_is_berts_otherwise():
    usual, own = BertConfig(hidden_size=24).to_dict(), CBertConfig(hidden_size=24).to_dict()
    other = {name for name in own if own[name] != usual.get(name, own[name])}
    assert other == {"model_type", "type_vocab_size"}
    assert own["type_vocab_size"] == 1
