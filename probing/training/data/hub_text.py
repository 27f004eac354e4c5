"""A dataset of the Hugging Face hub as running text, streamed: `hub:owner/name/configuration@text=column`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import HfApi

from probing.digests import digest_file, digest_json
from probing.records import InputError
from probing.tasks.files.fields import SPLIT_WORDS
from probing.tasks.files.hub import parse_address


def find_hub_text(name: str) -> tuple[str, str, Mapping[str, Callable[[], Iterator[str]]]]:
    """Name, identity of the content, and the paragraphs of each split; nothing has been fetched but the first rows.

    Args:
        name: `hub:ID`, `hub:ID/CONFIGURATION` or a local folder of data behind `hub:`; a column behind `@text=`.

    Raises:
        InputError: it cannot be reached, or it is not clear which column is the text.
    """
    address = parse_address(name)
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        found: Any = datasets.load_dataset(address.identity, address.configuration or None, streaming=True)
        digest = _digest(address.identity)
    except Exception as error:  # noqa: BLE001 - it throws what pandas, pyarrow, fsspec and the network throw
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"--text {name}: cannot be loaded from the Hugging Face hub ({reason})") from None
    splits = {}
    for split, rows in found.items():
        known = SPLIT_WORDS.get(str(split).partition("[")[0].lower(), "")
        if known:
            splits.setdefault(known, partial(_read, rows, _choose_column(rows, address.texts, name)))
    return Path(address.identity).name, digest_json([digest, address.configuration, address.texts]), splits


def _digest(identity: str) -> str:
    """The commit of a dataset of the hub, or the content of a local folder."""
    folder = Path(identity)
    if folder.is_dir():
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return digest_json([[str(path.relative_to(folder)), digest_file(path)] for path in files])
    return str(HfApi().dataset_info(identity).sha)


def _choose_column(rows: Any, named: tuple[str, ...], name: str) -> str:
    """The one column named, or `text`, or the only one that holds strings."""
    first = next(iter(rows), {})
    strings = [column for column, value in first.items() if isinstance(value, str)]
    wanted = list(named) or (["text"] if "text" in strings else strings)
    if len(wanted) != 1 or wanted[0] not in strings:
        raise InputError(
            f"--text {name}: columns of text are {', '.join(strings) or 'none'}; expected one of them behind @text="
        )
    return wanted[0]


def _read(rows: Any, column: str) -> Iterator[str]:
    for row in rows:
        yield from filter(None, map(str.strip, (row[column] or "").splitlines()))
