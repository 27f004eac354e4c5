"""The main job from Python: `probing.run(...)` in place of the script, and `probing.encode(...)` for vectors alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.of_a_run import draw_figures
from analysis.report.build import write_report
from analysis.runs.probing_run import Run, load_run
from analysis.stats.of_a_run import RunNumbers
from analysis.tables.main import main_table
from probing import pipeline
from probing.encoders.opening import build_checked
from probing.encoders.unknown_words import describe_unknown_texts
from probing.progress import Reporter
from probing.records import InputError, LayerStack
from probing.representations.pooling import Pooling
from probing.representations.shard_encoding import check_finite, encode_in_shards, tokenise
from probing.settings.named import make_settings
from probing.settings.run import EMBEDDED
from probing.tables import Failure
from probing.tasks.files.fields import find_bad_character, is_blank


@dataclass(frozen=True)
class FinishedRun:
    """A run, and what it left in its folder, as frames and figures."""

    folder: Path
    failures: tuple[Failure, ...] = ()
    """Cells that could not be computed, with their errors; the rest of the run stands."""

    @cached_property
    def _run(self) -> Run:
        return load_run(self.folder)

    @property
    def scores(self) -> pd.DataFrame:
        """One row per score, in [0, 1]; columns are the fields of `probing.tables.Score`."""
        return self._run.scores

    @property
    def layer_weights(self) -> pd.DataFrame:
        """One row per mixed layer; columns are the fields of `probing.tables.LayerWeight`. Empty without a mix."""
        return self._run.weights

    @property
    def gradient_norms(self) -> pd.DataFrame:
        """One row per norm; columns are the fields of `probing.tables.GradientNorm`. Empty where none were measured."""
        return self._run.gradients

    @property
    def layer_similarity(self) -> pd.DataFrame:
        """One row per pair of layers and task; columns are the fields of `probing.tables.LayerSimilarity`."""
        return self._run.similarities

    @property
    def amnesia(self) -> pd.DataFrame:
        """One row per score behind an erasure inside the encoder; columns: fields of `probing.tables.AmnesicScore`."""
        return self._run.amnesia

    @property
    def predictions(self) -> pd.DataFrame:
        """One row per test sentence and readout: its label, and what the probe answered."""
        return self._run.predictions

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Versions, device, number format, hashes, seconds and peak memory of each stage, warnings."""
        return self._run.manifest

    def table(self, seed: int = 0) -> pd.DataFrame:
        """The main table as a terminal shows it: last layer, best layer and mix, with intervals; scores times 100."""
        numbers = RunNumbers(self._run, seed)
        return main_table(numbers.summary, numbers.comparisons)

    def figures(self, seed: int = 0) -> Mapping[str, Figure]:
        """File stem -> matplotlib's figure, all that the run has data for.

        Raises:
            InputError: a task lacks a layer that others have.
        """
        return draw_figures(self._run, seed)

    def report(self) -> Path:
        """Write the run's page into its folder; returns the file, which opens offline."""
        return write_report([self.folder], None)


def run(*, reporter: Reporter | None = None, **settings: Any) -> FinishedRun:
    """Probe one model on tasks, layer by layer and mixed: what `probing/run_senteval.py` does.

    An unfinished run of the same settings is resumed, a finished one read again.

    Examples:
        >>> import probing
        >>> less = {"limit": 60, "gradients": 0, "controls": ()}
        >>> run = probing.run(checkpoint=tiny, tasks="Tense", output=folder, quiet=True, **less)
        >>> layers = run.scores.query("representation == 'layer' and metric == 'accuracy' and split == 'test'")
        >>> layers.layer_name.tolist()
        ['embeddings', '1', '2']
        >>> round(float(run.layer_weights.weight.sum()), 6)
        1.0
        >>> sorted(run.figures())
        ['curves_by_layer', 'depth', 'last_best_mix', 'mix_weights', 'scores_by_layer']

    Args:
        reporter: who shows progress; by default bars on a terminal or in a notebook, and nothing where `quiet`.
        settings: the script's flags by their names with `_`, such as `model`, `checkpoint`, `tasks`, `limit`; fields of
            `probing.settings.run.RunSettings`. A list may stand for several values, a single one for a list of one.

    Returns:
        The run, whose folder holds what the script would have left, the report aside (`FinishedRun.report`).

    Raises:
        InputError: settings or data that cannot be used, or none of the scores could be computed.
    """
    made = make_settings(settings)
    outcome = pipeline.run(made, reporter or Reporter(quiet=made.quiet))
    if not outcome.n_scores:
        reasons = "; ".join(dict.fromkeys(failure.error for failure in outcome.failures))
        raise InputError(f"{outcome.folder}: no score could be computed ({reasons[:300]})")
    return FinishedRun(outcome.folder, outcome.failures)


def encode(
    sentences: Sequence[str | tuple[str, ...]],
    checkpoint: str = EMBEDDED,
    *,
    reporter: Reporter | None = None,
    **settings: Any,
) -> LayerStack:
    """Encode sentences by a frozen encoder: one pooled vector for each layer and sentence, layer 0 the embeddings.

    Examples:
        >>> import probing
        >>> stack = probing.encode(["A cat sleeps.", "It rains."], tiny)
        >>> stack.values.shape
        (3, 2, 8)
        >>> stack.layer_names
        ('embeddings', '1', '2')

    Args:
        sentences: strings; a tuple of strings is a pair of segments.
        checkpoint: the embedded encoder, a local folder, or a Hugging Face id.
        reporter: who shows warnings.
        settings: `model`, `pooling`, `special_tokens`, `max_length`, `dtype`, `device`, `backend`, as in `run`.

    Returns:
        The layer stack: `values` is a float32 array (layers, sentences, hidden), in the order of `sentences`.

    Raises:
        InputError: nothing to encode, a text that is none, an encoder that cannot be built or believed, or vectors that
            are not finite.
    """
    made = make_settings({"model": "bert", **settings, "checkpoint": checkpoint})
    if isinstance(sentences, str) or not len(sentences):
        raise InputError("sentences: expected a list of one or more strings")
    texts = [text if isinstance(text, tuple) else (text,) for text in sentences]
    wrong = [text for text in texts if not text or not all(isinstance(part, str) for part in text)]
    if wrong:
        raise InputError(f"sentences: expected strings, or tuples of strings, got {str(wrong[0])[:80]}")
    for number, text in enumerate(texts):
        if fault := next(filter(None, map(find_bad_character, text)), ""):
            raise InputError(f"sentences: number {number}, counted from 0, {fault}")
    reporter = reporter or Reporter(quiet=True)
    if blank := sum(all(map(is_blank, text)) for text in texts):
        reporter.warn(f"{blank} sentences are empty: their vectors are of the tokenizer's marks alone")
    encoder, _ = build_checked(made.model, made, reporter)
    values = np.empty((len(encoder.layer_names), len(texts), encoder.hidden_size), dtype=np.float32)
    for line in describe_unknown_texts(encoder, encoder.checkpoint, f"list of {len(texts)} sentences", texts):
        reporter.warn(line)
    pooling, tokens = Pooling(made.pooling, made.special_tokens), tokenise(encoder, texts)
    for rows, part in encode_in_shards(encoder, tokens, pooling, lambda done: None):
        check_finite(part, [texts[row] for row in rows], encoder)
        values[:, rows] = part
    if tokens.truncated.any():
        reporter.warn(f"{tokens.truncated.sum()} sentences were longer than {encoder.max_length} tokens and were cut")
    return LayerStack(values, encoder.layer_names, pooling.name)
