"""Checkpoints as they are published: each ends in numbers that can be believed, or in one line that says what to do."""

import json
import os
import pickle
import re
import shutil

import numpy as np
import pytest
import torch
import transformers
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file

from probing.encoders import checkpoint_files, checkpoints, untrained
from probing.encoders.bert import build
from probing.encoders.checkpoint_check import check_encoder
from probing.encoders.checkpoints import find_checkpoint, load_model
from probing.encoders.classifiers import build_bermo, build_bert
from probing.progress import Reporter
from probing.records import InputError
from probing.settings.training import TrainSettings
from probing.training.run import find_origin
from tests.helpers import save_encoder
from tests.probing.encoders.odd_checkpoints import change_tensors, draw, patch, write, write_tokenizer

OPTIONS = {"dtype": "float32", "device": "cpu", "backend": "torch"}
TINY = {
    "vit": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
            "image_size": 32, "patch_size": 16},
    "rwkv": {"vocab_size": 90, "hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32,
             "context_length": 64},
}  # fmt: skip
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sound"), "bert")


@pytest.fixture
def folder(sound, tmp_path):
    """A copy of a sound BERT, to be spoilt."""
    return shutil.copytree(sound, tmp_path / "model")


def refused(folder, load=build):
    with pytest.raises(InputError) as caught:
        load(str(folder), **OPTIONS) if load is build else load(folder)
    line = str(caught.value)
    assert "\n" not in line
    assert str(folder) in line
    return line


def test_the_control_is_built_and_passes(sound):
    assert check_encoder(build(str(sound), **OPTIONS)).warnings == []


def spoil_numbers(folder):
    change_tensors(folder, lambda tensors: tensors | {"encoder.layer.1.output.dense.weight": torch.full((32, 32), float("nan"))})  # fmt: skip  # noqa: E501


def add_distances(folder):
    """Relative positions, which transformers had for BERT before version 5."""
    name = "encoder.layer.0.attention.self.distance_embedding.weight"
    change_tensors(folder, lambda tensors: tensors | {name: torch.randn(127, 16)})


def add_prefixed_adapters(folder):
    """Of the library adapters, in a model with a head: the names begin with that of the encoder."""

    def change(tensors):
        return {f"bert.{name}": tensor for name, tensor in tensors.items()} | {
            "bert.encoder.layer.0.output.adapters.x.weight": torch.ones(2, 2),
            "cls.predictions.bias": torch.ones(2),
        }

    change_tensors(folder, change)


def pickle_weights(folder):
    (folder / "model.safetensors").unlink()
    torch.save({"weights": draw("bert"), "code": shutil.rmtree}, folder / "pytorch_model.bin")


def point_at_weights(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_text(POINTER)


def point_at_shards(folder):
    (folder / "model.safetensors").rename(folder / "model-1-of-1.safetensors")
    names = load_file(folder / "model-1-of-1.safetensors")
    index = {"weight_map": dict.fromkeys(names, "model-1-of-1.safetensors") | {"last": "model-2-of-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def leave_the_folder(folder):
    point_at_shards(folder)
    index = {"weight_map": {"x": "../../../../etc/passwd"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def empty_index(folder):
    point_at_shards(folder)
    (folder / "model.safetensors.index.json").write_text("[]")


def leave_other_weights(folder):
    (folder / "model.safetensors").rename(folder / "tf_model.h5")


def new_tokenizer(folder):
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "NewModel", "vocab": {}}}')
    patch(folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")


def cut_tokenizer(folder):
    (folder / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes()[:100])


def point_at_vocabulary(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text(POINTER)
    patch(folder, "tokenizer_config.json", tokenizer_class="BertTokenizer")


def need_a_package(tokenizer_class, **settings):
    def change(folder):
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n犬\n")
        content = {"tokenizer_class": tokenizer_class} | settings
        (folder / "tokenizer_config.json").write_text(json.dumps(content))

    return change


def leave_a_sentencepiece_model(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "spm.model").write_bytes(b"\n\x0b\n\x05<unk>")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "DebertaV2Tokenizer"}))


def take_another_tokenizer(folder):
    """One that knows more words than the model has embeddings."""
    change_tensors(folder, lambda tensors: tensors | {"embeddings.word_embeddings.weight": torch.randn(40, 32)})
    patch(folder, vocab_size=40)


def store_whole_numbers(folder):
    """As a quantised export whose scales went elsewhere: config.json says nothing of it."""
    change_tensors(
        folder, lambda tensors: {k: (9 * v).to(torch.int8) if v.ndim == 2 else v for k, v in tensors.items()}
    )


def pickle_whole_numbers(folder):
    store_whole_numbers(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def take_a_table_of_no_rows(folder):
    change_tensors(folder, lambda tensors: tensors | {"embeddings.token_type_embeddings.weight": torch.empty(0, 32)})
    patch(folder, type_vocab_size=0)


SPOILT = {
    "whole numbers": (store_whole_numbers, r"tensor\(s\) of model\.safetensors.*whole numbers.*not quantised"),
    "pickled whole numbers": (pickle_whole_numbers, r"tensor\(s\) of pytorch_model\.bin.*whole numbers"),
    "NaN in the weights": (spoil_numbers, r"encoder\.layer\.1\.output\.dense\.weight holds NaN"),
    "relative positions": (add_distances, r"no place for 1 of its tensor.*distance_embedding"),
    "a kind of positions": (lambda f: patch(f, position_embedding_type="relative_key_query"), "relative_key_query"),
    "adapters": (add_prefixed_adapters, r"no place for 1 .*adapters"),
    "an adapter beside": (lambda f: (f / "adapter_config.json").write_text("{}"), "merge it"),
    "quantised": (
        lambda f: patch(f, quantization_config={"quant_method": "bitsandbytes"}),
        "quantised by bitsandbytes",
    ),
    "a string for a number": (lambda f: patch(f, layer_norm_eps="1e-12"), r"config\.json .*layer_norm_eps.*float"),
    "a list for a config": (lambda f: (f / "config.json").write_text("[]"), r"config\.json holds no JSON object"),
    "a limit in quotes": (
        lambda f: patch(f, "tokenizer_config.json", model_max_length="512"),
        r"tokenizer_config\.json: model_max_length is '512'; expected a number",
    ),
    "a limit of nothing": (
        lambda f: patch(f, "tokenizer_config.json", model_max_length=0),
        r"tokenizer_config\.json: model_max_length is 0; expected a number",
    ),
    "other shapes": (lambda f: patch(f, vocab_size=7), r"tensors have other shapes than config\.json"),
    "a deep config": (lambda f: (f / "config.json").write_text("[" * 100_000), r"config\.json cannot be read"),
    "a config that is bytes": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), r"config\.json cannot be read"),
    "a pointer as config": (lambda f: (f / "config.json").write_text(POINTER), "git lfs pull"),
    "a pointer as weights": (point_at_weights, r"pytorch_model\.bin.*git lfs pull"),
    "a pickle": (pickle_weights, "a pickle whose code is never run"),
    "a missing shard": (point_at_shards, r"names model-2-of-2\.safetensors"),
    "a shard outside": (leave_the_folder, r"names \.\./\.\./"),
    "an index that is a list": (empty_index, "holds no JSON object"),
    "weights of TensorFlow": (leave_other_weights, r"expected model\.safetensors.*found tf_model\.h5"),
    "a newer tokenizer": (new_tokenizer, "its tokenizer cannot be read"),
    "a cut tokenizer": (cut_tokenizer, "its tokenizer cannot be read"),
    "a pointer as vocabulary": (point_at_vocabulary, r"vocab\.txt.*git lfs pull"),
    "another tokenizer": (take_another_tokenizer, "40 embeddings"),
    "Japanese": (need_a_package("BertJapaneseTokenizer", word_tokenizer_type="mecab"), "fugashi.*install"),
    "RoFormer": (need_a_package("RoFormerTokenizer"), "rjieba.*install"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_what_is_spoilt_is_named_in_one_line(kind, folder):
    spoil, reason = SPOILT[kind]
    spoil(folder)
    line = refused(folder)
    assert re.search(reason, line), line


def test_a_table_of_no_rows_is_refused_for_what_it_breaks(folder):
    take_a_table_of_no_rows(folder)
    with pytest.raises(InputError, match="BertModel cannot encode a text"):
        check_encoder(build(str(folder), **OPTIONS))


def test_places_may_be_stored_as_whole_numbers(folder):
    change_tensors(folder, lambda tensors: tensors | {"embeddings.position_ids": torch.arange(64)[None]})
    assert check_encoder(build(str(folder), **OPTIONS)).warnings == []


def test_a_bare_sentencepiece_model_asks_for_its_packages(folder, monkeypatch):
    monkeypatch.setattr(checkpoint_files, "_is_installed", lambda package: False)
    leave_a_sentencepiece_model(folder)
    assert "pip install 'bermo-probing[sentencepiece]'" in refused(folder)


def test_what_an_old_pickle_warns_of_is_left_out(folder):
    (folder / "model.safetensors").unlink()
    # Of another protocol than torch's, of which torch warns in two lines; a warning is an error here.
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": os.getcwd}, protocol=4))
    assert "a pickle whose code is never run" in refused(folder)


def test_a_limit_of_the_encoder_is_not_told_as_one_that_was_asked_for(folder):
    write_tokenizer(folder, limit=2)
    with pytest.raises(InputError, match=r"^the encoder's own limit of 2 tokens: special tokens and one word take 4"):
        build(str(folder), **OPTIONS)
    with pytest.raises(InputError, match=r"^--max-length 1: special tokens"):
        build(str(folder), max_length=1, **OPTIONS)


@pytest.mark.parametrize("architecture", ["vit", "rwkv"])
def test_what_has_no_padding_token_and_reads_no_texts_is_refused_in_one_line(architecture, tmp_path):
    """Their configuration lacks `pad_token_id`, which transformers 5 gives only to those that use it."""
    settings = transformers.AutoConfig.for_model(architecture, **TINY[architecture])
    assert not hasattr(settings, "pad_token_id")
    transformers.AutoModel.from_config(settings).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    encoder = build(str(tmp_path), **OPTIONS)
    if architecture == "vit":
        with pytest.raises(InputError, match=r"^checkpoint .* cannot encode a text .*take an encoder of texts$"):
            check_encoder(encoder)
    else:
        check_encoder(encoder)


@pytest.mark.parametrize(
    ("name", "norm"), [("gpt2", "ln_f"), ("t5", "final_layer_norm"), ("bert", ""), ("bart", ""), ("squeezebert", "")]
)
def test_a_last_layer_behind_a_final_norm_is_told(name, norm, tmp_path):
    encoder = build(str(write(tmp_path, name)), **OPTIONS)
    told = [line for line in check_encoder(encoder).warnings if "after a final norm" in line]
    assert len(told) == (1 if norm else 0)
    assert not told or ("--mix-norm" in told[0] and norm in dict(encoder.model.named_children()))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_too_little_memory_is_not_blamed_on_the_files(error, folder, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(checkpoints.AutoModel, "from_pretrained", fail)
    assert refused(folder).endswith("cannot be read (not enough memory); free some")


def test_a_model_of_several_parts_is_refused(tmp_path):
    assert "clip has no hidden_size" in refused(write(tmp_path, "clip"))


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_a_checkpoint_is_never_run_and_never_asked_for(file, folder, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("builtins.input", lambda prompt="": asked.append(prompt) or "y")
    monkeypatch.setattr("builtins.print", lambda *words, **how: asked.append(words))
    ran = folder / "ran"
    code = f"open({str(ran)!r}, 'w')\nfrom transformers import BertConfig, BertModel\n"
    (folder / "mine.py").write_text(
        code + "class Config(BertConfig): model_type = 'mine'\nclass Model(BertModel): pass\nclass Tok: pass\n"
    )
    if file == "config.json":
        patch(folder, auto_map={"AutoConfig": "mine.Config", "AutoModel": "mine.Model"})
    else:
        patch(folder, file, auto_map={"AutoTokenizer": [None, "mine.Tok"]})
    # Of an architecture that transformers has: its own is taken, and that is told.
    assert any("never run" in line for line in check_encoder(build(str(folder), **OPTIONS)).warnings)
    patch(folder, model_type="mine", auto_map={"AutoConfig": "mine.Config", "AutoModel": "mine.Model"})
    assert "never run" in refused(folder)
    assert not ran.exists()
    assert not asked


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_of_an_encoder_decoder_the_encoder_is_probed(name, tmp_path):
    folder = write(tmp_path, name)
    encoder = build(str(folder), **OPTIONS)
    tokens = encoder.tokenize([("ada sees the dog .",)])
    ids = torch.from_numpy(tokens.ids[0])[None]
    whole = transformers.AutoModel.from_pretrained(folder)
    expected = whole(input_ids=ids, decoder_input_ids=ids, output_hidden_states=True).encoder_hidden_states
    for one, other in zip(encoder.encode(tokens, np.arange(1)).layers, expected, strict=True):
        torch.testing.assert_close(one, other)
    check_encoder(untrained.build(str(folder), **OPTIONS))


def test_an_encoder_without_its_decoder_is_probed_too(tmp_path):
    whole = write(tmp_path / "whole", "t5")
    part = tmp_path / "part"
    transformers.T5EncoderModel.from_pretrained(whole).save_pretrained(part)
    write_tokenizer(part)
    one, other = (build(str(folder), **OPTIONS) for folder in (whole, part))
    tokens = one.tokenize([("ada sees the dog .",)])
    for a, b in zip(*(encoder.encode(tokens, np.arange(1)).layers for encoder in (one, other)), strict=True):
        torch.testing.assert_close(a, b)


def test_an_encoder_that_lacks_a_tensor_is_refused_where_its_decoder_is_whole(tmp_path):
    folder = write(tmp_path, "t5")
    name = "encoder.block.1.layer.0.SelfAttention.q.weight"
    change_tensors(folder, lambda tensors: {key: value for key, value in tensors.items() if key != name})
    assert name in refused(folder)


def test_a_limit_of_minus_one_is_no_limit(tmp_path):
    folder = write(tmp_path, "xlnet")
    assert build(str(folder), **OPTIONS).max_length == 64, "the tokenizer's"
    write_tokenizer(folder, limit=10**30)
    encoder = build(str(folder), **OPTIONS)
    assert encoder.tokenize([("ada " * 500,)]).lengths[0] > 500


def test_weights_of_other_parts_are_no_matter(folder):
    """Heads, poolers and positions that are computed now."""

    def change(tensors):
        extra = {"cls.predictions.bias": torch.ones(2), "lm_head.weight": torch.ones(2)}
        constants = {"embeddings.position_ids": torch.arange(64)[None]}
        return {name: tensor for name, tensor in tensors.items() if "pooler" not in name} | extra | constants

    change_tensors(folder, change)
    assert check_encoder(build(str(folder), **OPTIONS)).warnings == []


def test_marks_typed_in_a_sentence_are_text(sound):
    encoder = build(str(sound), **OPTIONS)
    marks = [("ada saw [SEP] .",), ("[CLS] ada",), ("ada [PAD] [MASK]",)]
    tokens = encoder.tokenize(marks)
    known = {encoder.tokenize([("ada",)]).ids[0][place] for place in (0, -1)} | {0}
    for ids, special in zip(tokens.ids, tokens.special, strict=True):
        assert special.tolist() == [True] + [False] * (len(ids) - 2) + [True]
        assert not known & set(ids[1:-1].tolist())


def test_a_padding_token_that_has_no_row_pads_all_the_same(folder):
    patch(folder, pad_token_id=-1)
    assert check_encoder(build(str(folder), **OPTIONS)).facts["batching"] == "padded"


def fetch_from(remote, cache):
    """Stands for the hub: copies what the patterns let through."""

    def snapshot_download(identity, revision=None, allow_patterns=None, ignore_patterns=None):
        names = [str(path.relative_to(remote)) for path in remote.rglob("*") if path.is_file()]
        kept = filter_repo_objects(names, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns)
        for name in kept:
            (cache / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(remote / name, cache / name)
        return str(cache)

    return snapshot_download


@pytest.mark.parametrize("safe", [True, False])
def test_from_the_hub_old_weights_come_only_where_there_are_no_safe_ones(safe, folder, tmp_path, monkeypatch):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    shutil.copy(folder / "model.safetensors", folder / "model.fp16.safetensors")
    shutil.copytree(folder, folder / "onnx")
    if not safe:
        (folder / "model.safetensors").unlink()
    cache = tmp_path / "cache"
    monkeypatch.setattr(checkpoints, "snapshot_download", fetch_from(folder, cache))
    check_encoder(build("some/model", **OPTIONS))
    weights = {path.name for path in cache.rglob("*") if path.suffix in {".bin", ".safetensors"}}
    assert weights == {"model.safetensors" if safe else "pytorch_model.bin"}
    assert not (cache / "onnx").exists()


@pytest.mark.parametrize(
    ("name", "reason"), [("gpt2", "left to right"), ("t5", "can be probed and not be trained"), ("bart", "BartEncoder")]
)
def test_what_has_no_first_token_to_read_is_not_trained(name, reason, tmp_path):
    folder = write(tmp_path, name)
    assert reason in refused(folder, lambda place: find_origin(TrainSettings(checkpoint=str(place))))


def test_training_tells_that_states_depend_on_padding(tmp_path, sound):
    reporter = Reporter(quiet=True)
    find_origin(TrainSettings(checkpoint=str(sound)), reporter.warn)
    assert reporter.warnings == []
    find_origin(TrainSettings(checkpoint=str(write(tmp_path, "convbert"))), reporter.warn)
    assert any("in training too" in line for line in reporter.warnings)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert", "electra", "deberta_v2", "modernbert"])
def test_a_head_is_drawn_whole_from_the_generator_whatever_its_parts_are_called(architecture, tmp_path):
    found = find_checkpoint(str(save_encoder(tmp_path, architecture)))
    heads = []
    for seed in range(2):
        torch.manual_seed(seed)  # what transformers draws from
        model = build_bert(found, 3, 0.1, torch.Generator().manual_seed(0))
        prefix = f"{model.base_model_prefix}."
        heads.append({name: tensor for name, tensor in model.named_parameters() if not name.startswith(prefix)})
    assert len(heads[0]) >= 2
    for name, tensor in heads[0].items():
        assert torch.equal(tensor, heads[1][name]), name
    bermo = build_bermo(found, 3, 0.1, torch.Generator().manual_seed(0))
    if "classifier.weight" in heads[0]:
        assert torch.equal(heads[0]["classifier.weight"], bermo.classifier.weight)


def test_a_fault_of_ours_keeps_its_traceback(sound, monkeypatch):
    monkeypatch.setattr(checkpoints, "check_tensors", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load_model(find_checkpoint(str(sound)))


@pytest.mark.parametrize("name", ["x" * 300, "~no-such-user/model"])
def test_a_name_that_no_folder_can_have_is_refused(name):
    with pytest.raises(InputError, match="no folder can have that name"):
        find_checkpoint(name)
