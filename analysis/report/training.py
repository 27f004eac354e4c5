"""Training runs -> one self-contained HTML page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from analysis.figures.baselines import list_shares
from analysis.report import facts, training_answer, training_charts
from analysis.report.arms_answer import answer_arms
from analysis.report.augmentation_answer import answer_augmentation
from analysis.report.baseline_answer import answer_baselines
from analysis.report.baseline_charts import chart_baselines
from analysis.report.papers import list_papers
from analysis.report.shell import Chart, render_page
from analysis.runs.frames import title_of
from analysis.runs.training_run import TrainingRun, label_runs, stack_logs, stack_models
from analysis.stats.convergence import compare_convergence
from analysis.stats.pruning import summarise_pruning
from analysis.tables.arms import tabulate_arms
from analysis.tables.augmentation import tabulate_augmentation
from analysis.tables.baselines import DIFFERENCES_NOTE, NOTE, baselines_table, differences_table
from analysis.tables.table import Table, table_of
from analysis.tables.training import CONVERGENCE_NOTE, convergence_table, pruning_table, seeds_table
from probing.records import InputError

_LIMITS = (
    "The spread is over seeds: the order of the sentences, the head's start and dropout. It leaves out the choice of "
    "training sentences, and with few seeds it is itself uncertain.",
    "Dev scores chose nothing here but the step that is kept where training stops early; test scores chose nothing.",
    "Steps compare where batch size, learning rate and schedule are the same: see what was trained.",
)

_CAPTIONS = {
    "dev_score": "Dev score by step: mean over seeds, and a band from the lowest to the highest seed.",
    "loss": "Training loss by step: mean over seeds, and a band from the lowest to the highest seed.",
    "gradient_norm": "Gradient norm of each block before clipping, by step, mean over seeds (logarithmic colours).",
    "weight": "Weight of each layer in the mix (after softmax), in percent, by step, mean over seeds.",
}
_BESIDE = "The model beside answers that read no text, x 100, with 95 % intervals; mean ranks stand in the tables."
_PRUNING = (
    "Mean dev score by the share of zeros reached, with a band from the lowest to the highest seed. Crosses: runs that "
    "diverged, each at its own score."
)


@dataclass(frozen=True)
class Section:
    """Part of the page about one training run."""

    name: str
    facts: Sequence[tuple[str, str]]
    models: Table
    warnings: Sequence[str]
    command: str
    arms: Sequence[Table] = ()
    """Differences of arms, and new sentences, where some were written."""
    files: Sequence[tuple[str, str]] = ()
    """Name and relative address of what can be downloaded."""


def build_training_report(runs: Sequence[TrainingRun], seed: int = 0, beside: Path | None = None) -> str:
    """The page of one or several training runs; of two, the second is compared with the first, BERMo with BERT.

    Args:
        runs: the runs.
        seed: of the bootstrap.
        beside: the folder that the page will stand in, which its links to files of the runs start from; none: no links.

    Raises:
        InputError: a run has no dev scores.
    """
    runs = (
        sorted(runs, key=lambda run: run.model != "bert") if {run.model for run in runs} >= {"bert", "bermo"} else runs
    )
    names, logs = label_runs(runs), stack_logs(runs)
    convergence, sentences = _compare(runs, names, seed)
    return render_page(
        "training.html.j2",
        title=_title(runs, names),
        answers=[
            *(training_answer.answer_run(run, name) for run, name in zip(runs, names, strict=True)),
            *(sentence for run, name in zip(runs, names, strict=True) for sentence in answer_baselines(run, name)),
            *(sentence for run in runs for sentence in [*answer_augmentation(run), *answer_arms(run)]),
            *sentences,
        ],
        sections=[
            replace(_describe_run(run, name), files=facts.list_files(run.folder, beside))
            for run, name in zip(runs, names, strict=True)
        ],
        curves=[*_chart_curves(logs, runs[0].metric), *_chart_layers(logs)],
        baselines=list(_chart_baselines(runs, names)),
        convergence=convergence,
        pruning=_chart_pruning(runs),
        limits=_LIMITS,
        references=list_papers(runs),
    )


def _title(runs: Sequence[TrainingRun], names: Sequence[str]) -> str:
    """Title of the page: what was trained, from which checkpoints, on which tasks, when; each fact once."""
    checkpoints = (str(run.models["checkpoint"].iloc[0]).rstrip("/").rsplit("/", 1)[-1] for run in runs)
    origin, tasks, dates = (
        facts.join_known(dict.fromkeys(known))
        for known in (checkpoints, (title_of(run.task) for run in runs), (facts.date_of(run.manifest) for run in runs))
    )
    return facts.join_known([f"Training {', '.join(names)} from {origin} on {tasks}", dates])


def _compare(runs: Sequence[TrainingRun], names: Sequence[str], seed: int) -> tuple[list[Table], list[str]]:
    """The tables of convergence of two models that were fine-tuned, and what to say of it or why there is none."""
    if len(runs) != 2 or any(run.pruned for run in runs):
        return [], []
    try:
        found = compare_convergence(runs[0], runs[1])
    except InputError as error:
        return [], [f"Not compared: {error}."]
    sentences = [
        training_answer.answer_difference(runs[0], runs[1], names),
        training_answer.answer_convergence(found, names),
    ]
    return [table_of(convergence_table(found, *names), CONVERGENCE_NOTE)], sentences


def _describe_run(run: TrainingRun, name: str) -> Section:
    caption = f"{name}: {run.metric} x 100 of every trained model; below, mean ± standard deviation over seeds"
    return Section(
        name=name,
        facts=list_facts(run),
        models=table_of(seeds_table(run), caption),
        arms=[_as_captioned(table) for table in (tabulate_augmentation(run) | tabulate_arms(run)).values()],
        warnings=list(_list_warnings(run)),
        command=facts.rebuild_command(run.settings, "train_encoder.py"),
    )


def _chart_baselines(runs: Sequence[TrainingRun], names: Sequence[str]) -> Iterator[Chart]:
    """A chart for each run with baselines, with tables of every metric and of the differences."""
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        if len(list_shares(run)):
            what = f"{name}, {title_of(run.task)}"
            tables = [
                table_of(baselines_table(run), f"{what}: {NOTE}"),
                table_of(differences_table(run), f"{what}: {DIFFERENCES_NOTE}"),
            ]
            yield Chart(f"baselines-{number}", f"{what}, test. {_BESIDE}", chart_baselines(run), tables, wide=True)


def _as_captioned(table: Table) -> Table:
    """A table whose caption says its title too, which a page shows nowhere else."""
    return replace(table, caption=f"{table.title}. {table.caption}")


def _chart_curves(logs: pd.DataFrame, metric: str) -> list[Chart]:
    """Dev score and loss by step; of pruning, a chart per method, since each has a line per aim."""
    titles = {"dev_score": (f"{metric} x 100 on dev", 100.0), "loss": ("training loss", 1.0)}
    drawn = []
    for method, own in logs.groupby("method", sort=False):
        for quantity, (title, factor) in titles.items():
            if (own["quantity"] == quantity).any():
                spec, table = training_charts.chart_curves(own, quantity, title, factor)
                caption = " ".join(filter(None, [_CAPTIONS[quantity], str(method).replace("_", " ").capitalize()]))
                key = "-".join(filter(None, [quantity.replace("_", "-"), str(method).replace("_", "-")]))
                drawn.append(Chart(key, caption, spec, [table_of(table, caption)]))
    return drawn


def _chart_layers(logs: pd.DataFrame) -> list[Chart]:
    """Gradient norms and mix weights by layer and step, a chart per model; none of pruned models, which are many."""
    drawn = []
    for quantity in ("gradient_norm", "weight"):
        rows = training_charts.mean_layers(logs[logs["method"] == ""], quantity)
        span = (float(rows["value"].min()), float(rows["value"].max())) if len(rows) else (0.0, 0.0)
        for number, (name, own) in enumerate(rows.groupby("line", sort=False)):
            spec = training_charts.chart_layers(own, quantity, span if quantity == "gradient_norm" else (0.0, span[1]))
            table = own.pivot_table(index="layer", columns="step", values="value")
            shown = table.iloc[::-1].map("{:.3g}".format).reset_index(names="Layer").astype(str)
            caption = f"{name}: {_CAPTIONS[quantity]}"
            drawn.append(Chart(f"{quantity.replace('_', '-')}-{number}", caption, spec, [table_of(shown, caption)]))
    return drawn


def _chart_pruning(runs: Sequence[TrainingRun]) -> list[Chart]:
    models = stack_models([run for run in runs if run.pruned] or runs)
    if not (models["method"] != "").any():
        return []
    tables = [
        table_of(pruning_table(summarise_pruning(own)), f"{name}, dev score x 100 over seeds")
        for name, own in models.groupby("line", sort=False)
    ]
    return [Chart("pruning", _PRUNING, training_charts.chart_pruning(models), tables, wide=True)]


def list_facts(run: TrainingRun) -> list[tuple[str, str]]:
    """List what was trained on what, as pairs of a term and its description; without those not known."""
    first, settings = run.models.iloc[0], run.settings
    rates = [f"{settings[name]} {name.replace('_', ' ')}" for name in _HOW if name in settings]
    found = {
        "Model": run.model,
        "Checkpoint": facts.join_known([str(first["checkpoint"]), facts.shorten_revision(str(first["revision"]))]),
        "Recipe": run.recipe,
        "Data": facts.join_known([str(settings.get("data", "")), f"{first['n_train']} training {run.examples}"]),
        "Sentences": facts.describe_sizes(run.manifest.get("tasks", {})),
        "Seeds": facts.join_known(map(str, sorted(run.models["seed"].unique().tolist()))),
        "Training": facts.join_known(rates),
        "Cost": _describe_cost(run.models),
        "Finished": str(run.manifest.get("finished", "")),
        "Machine": facts.describe_machine(run.manifest),
        "Code": facts.describe_code(run.manifest),
        "Versions": facts.join_known(f"{name} {number}" for name, number in run.manifest.get("versions", {}).items()),
    }
    return [(term, str(text)) for term, text in found.items() if text]


def _describe_cost(models: pd.DataFrame) -> str:
    seconds, speed, memory = (models[name].median() for name in ("seconds", "tokens_per_s", "peak_rss_bytes"))
    return f"{seconds:z.0f} s a model, {speed:z.0f} tokens/s, {memory / 2**30:z.2f} GiB"


_HOW = ("epochs", "max_steps", "batch_size", "learning_rate", "mix_learning_rate", "weight_decay", "dropout")


def _list_warnings(run: TrainingRun) -> Iterator[str]:
    yield from map(str, run.manifest.get("warnings", []))
    seeds = run.models["seed"].nunique()
    if seeds < 5:
        yield f"{run.model}: {seeds} seed{'s' if seeds > 1 else ''}: what another seed would move is hardly known."
    if run.settings.get("limit"):
        yield f"{run.model}: at most {run.settings['limit']} training {run.examples} were used: small runs are noisy."
