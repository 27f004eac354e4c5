"""BERT's published accuracies by layer, beside those of a run on the same data.

The figures are those of jklj077/senteval-info at 422a7cd (its logs): BERT-base and -large, uncased, frozen, on the
official SentEval files; logistic regression with SentEval's settings (no hidden layer, RMSprop, batches of 128,
tenacity 3, epoch size 2), layer 0 the embeddings. One run each, printed with two decimals: no intervals.
"""

from pathlib import Path

import pandas as pd

from analysis.runs.probing_run import Run

ORIGIN = "jklj077/senteval-info at 422a7cd, logistic regression by SentEval's own procedure"
"""Source of the figures, in the words of a caption."""

_FILE = Path(__file__).with_name("bert_layerwise.tsv")
_TEST_SENTENCES = range(9_900, 10_101)
"""The official files have 10,000 test sentences per task, 9,996 and 10,002 in two of them."""


def read_published() -> pd.DataFrame:
    """Columns `checkpoint pooling layer task value`; values in [0, 1]."""
    frame = pd.read_csv(_FILE, sep="\t")
    return frame.assign(value=frame["score"] / 100).drop(columns="score")


def match_published(run: Run, scores: pd.DataFrame) -> pd.DataFrame:
    """A run's scores by layer beside the published ones: no rows unless checkpoint, pooling and data are the same.

    Args:
        run: whose settings say what it was made of.
        scores: from `analysis.runs.frames.mean_scores`, of the same run.

    Returns:
        Columns `task title layer layer_name value ci_low ci_high published difference`.
    """
    published = read_published()
    published = published[
        (published["checkpoint"] == _checkpoint_of(run)) & (published["pooling"] == run.settings.get("pooling"))
    ]
    own = scores[(scores["representation"] == "layer") & scores["n"].isin(_TEST_SENTENCES)]
    if run.settings.get("data") != "senteval" or run.settings.get("limit"):
        own = own.iloc[:0]
    columns = ["task", "title", "layer", "layer_name", "value", "ci_low", "ci_high"]
    renamed = published[["task", "layer", "value"]].rename(columns={"value": "published"})
    both = own[columns].merge(renamed, on=["task", "layer"])
    return both.assign(difference=both["value"] - both["published"])


def _checkpoint_of(run: Run) -> str:
    name = str(run.settings.get("checkpoint", "")).rstrip("/")
    return name.rsplit("/", 1)[-1].partition("@")[0] if run.settings.get("model") in ("bert", "bermo") else ""
