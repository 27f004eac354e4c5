"""Sources of running text: files, a dataset of the Hugging Face hub, or sentences of the controlled grammar."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from probing.digests import digest_file, digest_json
from probing.randomness import stream
from probing.records import InputError
from probing.tasks.controlled.corpus import SIZES, digest_grammar, list_sentences
from probing.tasks.sources import HUB
from probing.training.data.text_files import describe_files, find_texts, read_paragraphs

_EMBEDDED_SEED = 0


@dataclass(frozen=True)
class TextSource:
    """Running text that has not been read yet."""

    name: str
    """Of the corpus, as tables have it."""
    digest: str
    """The identity of its content."""
    splits: Mapping[str, Callable[[], Iterator[str]]]
    """Split -> its paragraphs, from the first one on whenever it is called; of dev and test, those that there are."""
    facts: Mapping[str, Any]
    """For a manifest."""


def find_source(text: Sequence[str]) -> TextSource:
    """The text that `--text` names.

    Args:
        text: files and folders, or one `hub:ID`; nothing for sentences of the controlled grammar.

    Raises:
        InputError: it is not there, or has no training text.
    """
    if not text:
        return _make_embedded()
    if any(name.startswith(HUB) for name in text):
        return _find_on_hub(text)
    files = {split: paths for split, paths in find_texts(text).items() if paths}
    if "train" not in files:
        raise InputError(
            f"--text {' '.join(text)}: no training text; expected files that begin with neither dev nor test"
        )
    _check_dev(files, " ".join(text))
    content = {split: [digest_file(path) for path in paths] for split, paths in files.items()}
    _check_copies(content, files)
    facts = {"text": list(text), "files": describe_files(files)}
    return TextSource(
        _name(text), digest_json(content), {split: partial(_read, paths) for split, paths in files.items()}, facts
    )


def _check_copies(content: Mapping[str, Sequence[str]], files: Mapping[str, Sequence[Path]]) -> None:
    """Refuse a copy of a file that is learned, packed or not: it would be learned twice, or held out too."""
    seen: dict[str, Path] = {}
    for split, digests in content.items():
        for digest, path in zip(digests, files[split], strict=True):
            for key in (str(path.resolve()).removesuffix(".xz"), digest):
                if key in seen and path.stat().st_size:
                    raise InputError(f"--text: {seen[key]} and {path} hold the same; keep one of them")
            if split == "train":
                seen |= {str(path.resolve()).removesuffix(".xz"): path, digest: path}


def _name(text: Sequence[str]) -> str:
    """The name of the first folder or, of several files, of the one that the first of them is in; of one, its own."""
    first = Path(text[0]).expanduser().resolve()
    return first.parent.name if first.is_file() and len(text) > 1 else first.name.partition(".")[0]


def _check_dev(splits: Mapping[str, Any], name: str) -> None:
    if "test" in splits and "dev" not in splits:
        raise InputError(
            f"--text {name}: has test text and no dev text; expected a file that begins with dev, or neither"
        )


def _read(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        yield from read_paragraphs(path)


def _make_embedded() -> TextSource:
    facts = {"text": [], "made": f"controlled grammar, seed {_EMBEDDED_SEED}"}
    digest = digest_json(["controlled text", _EMBEDDED_SEED, SIZES, digest_grammar()])
    return TextSource("controlled", digest, {"train": _list_embedded}, facts)


def _list_embedded() -> Iterator[str]:
    """All sentences in a drawn order: the grammar's own splits share no noun and no verb, which is for probes."""
    sentences = [one for split in list_sentences(_EMBEDDED_SEED, SIZES).values() for one in split]
    return (sentences[number] for number in stream(_EMBEDDED_SEED, "controlled text").permutation(len(sentences)))


def _find_on_hub(text: Sequence[str]) -> TextSource:
    if len(text) > 1:
        raise InputError(f"--text {' '.join(text)}: expected one dataset of the hub alone, or files and folders")
    try:
        from probing.training.data.hub_text import find_hub_text  # noqa: PLC0415 - its dependency may not be installed
    except ModuleNotFoundError:
        raise InputError(f"--text {text[0]}: needs datasets; pip install 'bermo-probing[hub]'") from None
    name, digest, splits = find_hub_text(text[0])
    if "train" not in splits:
        raise InputError(f"--text {text[0]}: expected a dataset with a split train, got {', '.join(splits)}")
    _check_dev(splits, text[0])
    return TextSource(name, digest, splits, {"text": list(text)})
