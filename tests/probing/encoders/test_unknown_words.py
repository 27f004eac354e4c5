"""Words that a tokenizer does not know are told, before a score of them is believed."""

from dataclasses import replace

import numpy as np
import pytest

from probing.encoders.bert import build
from probing.encoders.unknown_words import describe_unknown
from probing.records import Split, Task, Text
from tests.helpers import build_task, save_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = save_encoder(tmp_path_factory.mktemp("bert"))
    return build(str(folder), dtype="float32", device="cpu", backend="torch")


def with_texts(*texts: Text) -> Task:
    task = build_task()
    test = Split(texts, np.zeros(len(texts), dtype=np.int64))
    return replace(task, splits={**task.splits, "test": test})


def test_the_share_of_unknown_tokens_is_counted_without_marks_and_told(encoder):
    known, unknown = build_task().splits["test"].texts[0][0], "слово"
    n = len(known.split())
    [line] = describe_unknown(encoder, [build_task(), with_texts((f"{known} {unknown}",))])
    assert line.startswith(f"task past_present: {1 / (n + 1):.0%} of its tokens are unknown to the tokenizer of ")
    [line] = describe_unknown(encoder, [with_texts((unknown, unknown))])  # pairs count too
    assert " 100% of its tokens" in line


def test_a_name_here_and_there_is_no_matter(encoder):
    known = build_task().splits["test"].texts[0]
    assert describe_unknown(encoder, [with_texts(*[known] * 30, ("слово",))]) == []


def test_an_encoder_that_knows_all_words_or_does_not_say_is_not_asked(encoder, monkeypatch):
    monkeypatch.setattr(encoder, "unknown_id", None)
    assert describe_unknown(encoder, [with_texts(("слово",))]) == []
