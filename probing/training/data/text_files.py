"""Running text in files, plain or packed by xz: one paragraph a line, an empty line behind each document."""

import lzma
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from probing.records import SPLITS, InputError
from probing.tasks.files.fields import SPLIT_WORDS

_SUFFIXES = (".txt", ".text", ".xz")


def find_texts(names: Sequence[str]) -> dict[str, list[Path]]:
    """Split -> its files, in the order of their paths. A file belongs to dev or test by the first word of its name.

    Args:
        names: of files, and of folders, of which all files in .txt and .xz are taken.

    Raises:
        InputError: one of them is not there, or a folder holds no text.
    """
    found: dict[str, list[Path]] = {split: [] for split in SPLITS}
    # One file by two names, such as a relative and an absolute one, is one.
    for path in {path.resolve(): path for name in names for path in _list_files(name)}.values():
        word = re.split(r"[^a-z]+", path.name.lower())[0]
        # Short ones are languages: `te` is Telugu.
        found[SPLIT_WORDS.get(word, "train") if len(word) > 2 else "train"].append(path)
    return found


def read_paragraphs(path: Path) -> Iterator[str]:
    """The lines of a file that are not empty, without the blanks around them.

    Raises:
        InputError: it cannot be read, is damaged, or is no text in UTF-8.
    """
    packed = path.suffix == ".xz"
    try:
        with lzma.open(path) if packed else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield from _decode(line, path, number)
    except (lzma.LZMAError, EOFError) as error:
        raise InputError(f"--text {path}: no sound xz file ({error}); fetch it anew") from None
    except OSError as error:
        raise InputError(f"--text {path}: cannot be read ({error.strerror})") from None


def describe_files(files: Mapping[str, Sequence[Path]]) -> dict[str, list[str]]:
    """Split -> the names of its files, for a manifest."""
    return {split: [path.name for path in paths] for split, paths in files.items() if paths}


def _list_files(name: str) -> list[Path]:
    try:
        path = Path(name).expanduser()
        if path.is_file():
            return [path]
        is_folder = bool(name) and path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"--text {name[:80]!r}: is no path ({error}); expected files of text, or a folder") from None
    if not is_folder:
        raise InputError(f"--text {name}: no such file or folder; expected text in .txt or .txt.xz, or hub:ID")
    inside = sorted(one for one in path.rglob("*") if one.suffix in _SUFFIXES and one.is_file())
    if not inside:
        raise InputError(f"--text {name}: holds no text; expected files in .txt or .txt.xz in it")
    return inside


def _decode(line: bytes, path: Path, number: int) -> Iterator[str]:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        found = f"byte 0x{line[error.start]:02x} in line {number}"
        raise InputError(f"--text {path}: no text in UTF-8 ({found}); expected one paragraph a line") from None
    if "\0" in text:
        raise InputError(
            f"--text {path}: holds a NUL character in line {number}: no text; expected one paragraph a line"
        )
    if text:
        yield text
