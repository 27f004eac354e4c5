"""Facts about a run: what it ran on, what to beware of, and how to run it again, read off settings and manifest."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from analysis.runs.choosing import name_model
from analysis.runs.frames import title_of
from analysis.runs.probing_run import Run
from probing.catalogue.readouts import UNCONVERGED, UNCONVERGED_MEANS

REFERENCES = (
    ("BERMo", "https://arxiv.org/abs/2110.15802", "arXiv 2110.15802", "the learned mix of layers"),
    ("SentEval probing tasks", "https://arxiv.org/abs/1805.01070", "arXiv 1805.01070", "the ten tasks"),
)
"""References to cite: name, address, identifier, for what."""


def list_facts(run: Run) -> list[tuple[str, str]]:
    """List what was run and on what, as pairs of a term and its description; without those not known."""
    first = run.scores[run.scores["representation"] != "none"].iloc[0]
    encoder = run.manifest.get("encoder", {})
    tasks = run.manifest.get("tasks", {})
    facts = {
        "Model": first["model"],
        "Checkpoint": join_known([str(first["checkpoint"]), shorten_revision(str(first["revision"]))]),
        "Layers": join_known(
            [f"{len(encoder.get('layers', []))} of width {encoder.get('hidden_size')}"] if encoder else []
        ),
        "Data": join_known([str(run.settings.get("data", "")), _limit(run)]),
        "Sentences": describe_sizes(tasks),
        "Pooling": first["pooling"],
        "Probe": f"{first['probe']}, protocol {first['protocol']}",
        "Finished": str(run.manifest.get("finished", "")),
        "Seeds": join_known(map(str, sorted(run.scores["seed"].unique().tolist()))),
        "Machine": describe_machine(run.manifest),
        "Cost": _cost(run.manifest.get("stages", {})),
        "Code": describe_code(run.manifest),
        "Versions": join_known(f"{name} {number}" for name, number in run.manifest.get("versions", {}).items()),
    }
    return [(term, str(text)) for term, text in facts.items() if text]


def name_runs_of(runs: Sequence[Run]) -> str:
    """The page's title: which checkpoints were probed, on which corpora, when; each fact once."""
    known = [
        (name_model(run), str(run.settings.get("data", "")).rstrip("/").rsplit("/", 1)[-1], date_of(run.manifest))
        for run in runs
    ]
    models, corpora, dates = (join_known(dict.fromkeys(facts)) for facts in zip(*known, strict=True))
    return f"Probing {models}" + (f", {corpora}" if corpora else "") + (f", {dates}" if dates else "")


def date_of(manifest: Mapping[str, Any]) -> str:
    """The day that a run was finished, where it was written down."""
    return str(manifest.get("finished", ""))[:10]


def list_files(folder: Path, beside: Path | None) -> list[tuple[str, str]]:
    """The files of a run that are worth downloading: name, and address relative to a folder."""
    if beside is None:
        return []
    tables = [folder / name for name in ("scores.csv", "trained_models.csv", "baselines.csv", "training_log.parquet")]
    paths = [*tables, *sorted((folder / "figures").glob("*.pdf"))]
    return [
        (path.name, quote(os.path.relpath(path.resolve(), beside.resolve()).replace(os.sep, "/")))
        for path in paths
        if path.is_file()
    ]


def list_warnings(run: Run) -> list[str]:
    """List what the run warned of and what failed, and what its sizes and controls leave open."""
    warnings = [explain_warning(str(text)) for text in run.manifest.get("warnings", [])]
    for failure in run.manifest.get("failures", []):
        cell = ", ".join(str(failure.get(name, "")) for name in ("task", "representation", "control"))
        error = failure.get("error", "")
        warnings.append(f"Not computed: {cell}: {error}. The same command tries what is missing again.")
    if run.settings.get("limit"):
        warnings.append(
            f"At most {run.settings['limit']} sentences of each split were used: small runs are noisy. "
            "Run it without --limit before you rest anything on it."
        )
    if not (run.scores["control"] != "none").any():
        warnings.append(
            "No control was run: a high score may be the probe's own learning, or word identity alone. Run it with "
            "--controls bag_of_embeddings control_task bag_of_words untrained."
        )
    return warnings


def explain_warning(text: str) -> str:
    """A warning of a run with the tasks' titles, and with what it means and what to do where the run did not say."""
    if not text.startswith(UNCONVERGED) or UNCONVERGED_MEANS in text:
        return text
    named = re.sub(r"(\w+)(?= \()", lambda match: title_of(match[1]), text)
    return f"{named}: {UNCONVERGED_MEANS}"


def list_limits(run: Run, comparisons: pd.DataFrame) -> list[str]:
    """List what the numbers cannot say, whatever they are."""
    smallest = 100 * comparisons.loc[comparisons["level"] == "task", "smallest"]
    found = smallest[smallest > 0]
    limits = [
        "A probe shows what can be read off the vectors, not what the model uses.",
        "Intervals are over test sentences; they leave out the choice of training sentences and of the corpus.",
        "The best layer is chosen on dev among many: its test score is unbiased, the choice itself is noisy.",
        "Scores of tasks with different numbers of classes do not compare: compare over layers, within a task.",
    ]
    if len(found):
        limits.append(
            f"With 80 % power the test sets resolve differences from {found.min():z.1f} to {found.max():z.1f} points, "
            "by task; smaller ones may exist unseen."
        )
    if comparisons["level"].eq("group").any() and run.sentences.empty:
        limits.append(
            "Means over tasks take their test sentences for independent: this run did not write down which sentences "
            "its tasks share, as newer ones do, and the intervals of means may be somewhat too narrow."
        )
    if len(run.weights):
        limits.append("Weights of a mix mislead where layer norms differ: read the contributions beside them.")
    return limits


def rebuild_command(settings: Mapping[str, Any], script: str = "run_senteval.py") -> str:
    """The command that makes a run of these settings again, as a shell takes it."""
    words = ["python", f"probing/{script}"]
    for name, value in settings.items():
        words += _flag("--" + name.replace("_", "-"), value)
    return shlex.join(words)


def _flag(flag: str, value: Any) -> list[str]:
    if value is None or value == []:
        return []
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    return [flag, *map(str, value)] if isinstance(value, list) else [flag, str(value)]


def _limit(run: Run) -> str:
    limit = run.settings.get("limit")
    return f"at most {limit} sentences of each split" if limit else ""


def describe_sizes(tasks: Mapping[str, Any]) -> str:
    """Train, dev and test sentences by task."""
    return "; ".join(
        f"{title_of(name)} {'/'.join(str(task.get(split, '?')) for split in ('train', 'dev', 'test'))}"
        for name, task in tasks.items()
    ) + (" (train/dev/test)" if tasks else "")


def describe_machine(manifest: Mapping[str, Any]) -> str:
    """Device, number format, processor, cores and system."""
    machine = manifest.get("machine", {})
    cpu = [str(machine.get(name, "")) for name in ("cpu", "instruction_set")]
    cores = [f"{machine['cores']} cores"] if "cores" in machine else []
    return join_known(
        [str(manifest.get("device", "")), str(manifest.get("dtype", "")), *cpu, *cores, machine.get("system", "")]
    )


def describe_code(manifest: Mapping[str, Any]) -> str:
    """The commit of the code, and whether files were changed since; empty where it was no checkout."""
    code = manifest.get("code") or {}
    return (
        join_known([f"commit {str(code.get('commit', ''))[:12]}", "files changed since" if code.get("changed") else ""])
        if code
        else ""
    )


def _cost(stages: Mapping[str, Any]) -> str:
    """Seconds and peak memory of each stage."""
    return "; ".join(
        f"{name} {stage.get('seconds', 0):z.1f} s, {stage.get('peak_rss_bytes', 0) / 2**30:z.2f} GiB"
        for name, stage in stages.items()
    )


def shorten_revision(revision: str) -> str:
    """The beginning of a revision, where there is one."""
    return f"revision {revision[:12]}" if revision else ""


def join_known(parts: Iterable[str]) -> str:
    """The parts that are not empty, with commas."""
    return ", ".join(part for part in parts if part)
