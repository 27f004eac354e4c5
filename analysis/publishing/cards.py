"""Cards of a published run: README.md, whose head the Hugging Face hub reads, and a block for a model's own card."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from analysis.publishing.contents import Contents, Number
from analysis.runs.frames import title_of
from analysis.tables.formats import to_markdown

DATA_CARD = "README.md"
MODEL_CARD = "model-index.yml"
_FIRST = "scores"
"""Table that a viewer opens, where there is one."""
_HUB_METRICS = {"pearson": "pearsonr", "spearman": "spearmanr", "matthews": "matthews_correlation"}
"""Our name of a metric -> the hub's, where they differ."""
_HEAD = "# For the head of the model's README.md, between its lines of ---; made from {}.\n"


def describe_data(contents: Contents, name: str, license_name: str = "") -> str:
    """The card of the data set: a head in YAML, and a page in Markdown.

    Args:
        contents: of the run.
        name: by which others load it.
        license_name: of the numbers, by the hub's name for it; empty leaves it out.
    """
    blocks = [f"# {contents.title}", _ABOUT]
    blocks += [to_markdown(frame, caption) for caption, frame in contents.shown]
    blocks += ["## Load it", _LOAD.format(name=name, table=_order(contents.tables)[0])]
    blocks += ["## Made by", f"```sh\n{contents.command}\n```", _tabulate(("fact", "value"), contents.facts)]
    if contents.open:
        blocks += ["## Open", "\n".join(f"* {_escape(line)}" for line in contents.open)]
    blocks.append("## Columns")
    for table in _order(contents.tables):
        rows = [(f"`{column}`", meaning) for column, meaning in contents.tables[table].items()]
        blocks += [f"### {table}.parquet ({contents.rows[table]:,} rows)", _tabulate(("column", "meaning"), rows)]
    return f"---\n{_dump(_head(contents, license_name))}---\n\n" + "\n\n".join(blocks) + "\n"


def describe_scores(contents: Contents) -> str:
    """The scores as `model-index`, which the hub shows beside a model whose card has it."""
    together: dict[tuple[str, str], list[Number]] = {}
    for number in contents.numbers:
        together.setdefault((number.task, number.split), []).append(number)
    results = [_describe_task(task, split, contents.data, own) for (task, split), own in together.items()]
    block = {"model-index": [{"name": contents.checkpoint, "results": results}]}
    return _HEAD.format(contents.title) + _dump(block)


_ABOUT = (
    "Numbers of one run of bermo-probing, after BERMo ([arXiv 2110.15802](https://arxiv.org/abs/2110.15802)): what "
    "probes read from each layer of an encoder and from the learned mix of its layers, or how an encoder was trained. "
    "Scores are in their metric's own range. No sentence is in here: `predictions.parquet` knows them by their place. "
    "[report.html](report.html) shows all of it and opens offline; `model-index.yml` has the scores for the card of a "
    "model."
)
_LOAD = """```python
from datasets import load_dataset

{table} = load_dataset("{name}", "{table}", split="train").to_pandas()
```"""


def _head(contents: Contents, license_name: str) -> dict[str, Any]:
    tables = _order(contents.tables)
    configs = [{"config_name": table, "data_files": f"{table}.parquet"} for table in tables]
    configs[0]["default"] = True  # pyright: ignore
    return {
        "pretty_name": contents.title,
        **({"license": license_name} if license_name else {}),
        "tags": ["probing", "layer-wise", "bermo-probing"],
        "configs": configs,
    }


def _order(tables: Iterable[str]) -> list[str]:
    return sorted(tables, key=lambda name: (name != _FIRST, name))


def _describe_task(task: str, split: str, data: str, numbers: Iterable[Number]) -> dict[str, Any]:
    corpus = f" ({data})" if data else ""
    return {
        "task": {"type": "text-classification", "name": f"probing {title_of(task)}"},
        "dataset": {"type": task, "name": f"{title_of(task)}{corpus}", "split": split},
        "metrics": [
            {
                "type": _HUB_METRICS.get(number.metric, number.metric),
                "value": number.value,
                "name": f"{number.metric}, {number.readout}",
            }
            for number in numbers
        ],
    }


def _dump(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=10_000)


def _tabulate(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([_escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    """Text that is one cell, and neither a tag nor a new line."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
