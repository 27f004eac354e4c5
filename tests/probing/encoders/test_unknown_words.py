"""Words that a tokenizer does not know are told, before a score of them is believed."""

from dataclasses import replace

import numpy as np
import pytest

from probing.encoders.bert import build
from probing.encoders.unknown_words import describe_unknown
from probing.progress import Reporter
from probing.records import Split, Task, Text
from probing.settings.training import TrainSettings
from probing.training.data.labelled import make_labelled
from probing.training.origins import find_origin
from tests.helpers import build_task, save_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_encoder(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def encoder(folder):
    return build(str(folder), dtype="float32", device="cpu", backend="torch")


def with_texts(*texts: Text) -> Task:
    task = build_task()
    test = Split(texts, np.zeros(len(texts), dtype=np.int64))
    return replace(task, splits={**task.splits, "test": test})


def test_the_share_of_unknown_tokens_is_counted_without_marks_and_told(encoder):
    known, unknown = build_task().splits["test"].texts[0][0], "слово"
    n = len(known.split())
    [line] = describe_unknown(encoder, encoder.checkpoint, [build_task(), with_texts((f"{known} {unknown}",))])
    assert line.startswith(f"task past_present: {1 / (n + 1):.0%} of its tokens are unknown to the tokenizer of ")
    [line] = describe_unknown(encoder, encoder.checkpoint, [with_texts((unknown, unknown))])  # pairs count too
    assert " 100% of its tokens" in line


def test_a_name_here_and_there_is_no_matter(encoder):
    known = build_task().splits["test"].texts[0]
    assert describe_unknown(encoder, encoder.checkpoint, [with_texts(*[known] * 30, ("слово",))]) == []


def test_an_encoder_that_knows_all_words_or_does_not_say_is_not_asked(encoder, monkeypatch):
    monkeypatch.setattr(encoder, "unknown_id", None)
    assert describe_unknown(encoder, encoder.checkpoint, [with_texts(("слово",))]) == []


def test_training_tells_it_too(folder):
    reporter = Reporter(quiet=True)
    origin = find_origin(TrainSettings(checkpoint=str(folder)))
    make_labelled(build_task(), origin, reporter)
    assert reporter.warnings == []
    make_labelled(with_texts(("слово",)), origin, reporter)
    [line] = reporter.warnings
    assert line.startswith(f"task past_present: 100% of its tokens are unknown to the tokenizer of {folder}")
