r"""SentEval's official probing files: fetched once, resumed where a connection broke, verified before every use.

A file is known by its git blob id, the SHA-1 of `blob <size>\0` and the content: the name under which the project's
own repository keeps it. Under its final name a file is whole and genuine, or not there at all.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any

from pooch import HTTPDownloader

from probing.atomic_files import write_atomically
from probing.catalogue.tasks import find_specs
from probing.progress import Reporter
from probing.records import InputError, Task
from probing.settings.run import SENTEVAL_URL
from probing.tasks.files.senteval import read_task

COMMIT = "5d6dc117d1ac30357ddaeb7347fb5684e9b87015"
"""Of facebookresearch/SentEval, whose folder data/probing has the files."""

OFFICIAL_FOLDER = Path("data/corpora/senteval")
"""Folder of the official files."""

BLOB_IDS = {
    "bigram_shift": "1226c0467bd342c92132dd2fd26e54b7bd066bd7",
    "coordination_inversion": "281888217fd1ed7faef2c63c5350d2ff1b8e64ce",
    "obj_number": "c5a6f758f2293d0ed0774de327ff8199322d12ee",
    "odd_man_out": "ca1ec154df17e366330c542b48bdca5cfa65bf1c",
    "past_present": "d11394b28383bb1a8148670e33d39e5fcd326b16",
    "sentence_length": "9799e50a7579b5b60294b708cedc063aea16f0be",
    "subj_number": "dee5770953ad194ceafc68106bd9c071986c6d2a",
    "top_constituents": "1d00fe9b16f71303af7f0471fa028077f742d8b0",
    "tree_depth": "91567ad524de360c38105afc39d29fb7ef6b5eb8",
    "word_content": "596d6fc7c624a989342f5aef2fa035d0d84f65b7",
}
"""Of the ten files at `COMMIT`."""

ATTEMPTS = 8
"""Number of attempts in all at a download that breaks."""
_PAUSE_S = 1.0
_TIMEOUT_S = 20.0
_CHUNK_BYTES = 2**12
_WHOLE, _RANGE_REFUSED, _SERVER_TROUBLE = 200, 416, 500
"""HTTP: the whole content comes, whatever part was asked for; there is no such part; from here on, try again."""


def load(names: Iterable[str] = ("all",), url: str = SENTEVAL_URL, reporter: Reporter | None = None) -> dict[str, Task]:
    """Some of the ten official tasks, fetched where they are not there yet.

    Raises:
        InputError: as `fetch_files`, or a name that no task bears.
    """
    specs = find_specs(names)
    fetch_files([spec.name for spec in specs], OFFICIAL_FOLDER, url, reporter or Reporter(quiet=True))
    return {spec.name: read_task(OFFICIAL_FOLDER / f"{spec.name}.txt", spec) for spec in specs}


def blob_id(content: bytes) -> str:
    r"""The name that git gives to a content: SHA-1 of `blob <size in bytes>\0` and the content."""
    digest = sha1(b"blob %d\0" % len(content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest()


def fetch_files(
    names: Sequence[str],
    folder: Path,
    url: str,
    reporter: Reporter,
    blob_ids: Mapping[str, str] = BLOB_IDS,
    pause_s: float = _PAUSE_S,
) -> None:
    """See to it that some of the official files stand in a folder, whole and genuine.

    Args:
        names: of tasks.
        folder: made where it is not there.
        url: of the folder that has the files.
        reporter: who tells how far it is.
        blob_ids: what each file's content must be.
        pause_s: before a broken connection is taken up again; doubled each time.

    Raises:
        InputError: a file that is there is another one, or one could not be fetched. What came of it stays in a file
            `.NAME.txt.part`, with which the next attempt begins.
    """
    missing = [name for name in names if not _verify(folder / f"{name}.txt", blob_ids[name])]
    if not missing:
        return
    reporter.say(f"fetching {', '.join(missing)} from {url}")
    with reporter.stage("fetching", len(missing), "files") as advance:
        for number, name in enumerate(missing):
            source = f"{url.rstrip('/')}/{name}.txt"
            reason = _fetch(source, folder / f"{name}.txt", blob_ids[name], pause_s, advance)
            if reason:
                lacking = ", ".join(f"{name}.txt" for name in missing[number:])
                raise InputError(
                    f"{folder}: lacks {lacking}, and {source} could not be fetched ({reason}); bring the files from "
                    f"data/probing of github.com/facebookresearch/SentEval, commit {COMMIT[:7]}, to this folder"
                )


def _verify(path: Path, expected: str) -> bool:
    """True where the file is there; it must be the official one then."""
    try:
        found = blob_id(path.read_bytes())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if found != expected:
        raise InputError(
            f"{path}: is not SentEval's file (git blob {found[:12]}, expected {expected[:12]}); remove it and run "
            "again, or move it to a folder of your own and give that as --data"
        )
    return True


def _fetch(source: str, target: Path, expected: str, pause_s: float, advance: Callable[[float], None]) -> str:
    """Fetch one file; the reason why it could not be, or nothing."""
    part = target.with_name(f".{target.name}.part")
    reason, n_wrong = "", 0
    for attempt in range(ATTEMPTS):
        size = part.stat().st_size if part.is_file() else 0
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            download_rest(source, part, advance)
            content = part.read_bytes()
            if blob_id(content) == expected:
                # Not renamed: another run may be writing to the partial file.
                write_atomically(target, content)
                part.unlink(missing_ok=True)
                return ""
        except OSError as error:
            reason = _explain(error)
            grown = part.is_file() and part.stat().st_size > size
            if not (grown or _may_pass(error)):
                break
            time.sleep(pause_s * 2**attempt)
            continue
        # Another file, or cut short without notice: it cannot be told which, so once more from the beginning.
        reason = f"what came is not SentEval's file: {len(content):,} bytes, git blob {blob_id(content)[:12]}"
        part.unlink(missing_ok=True)
        n_wrong += 1
        if n_wrong > 1:
            break
    if part.is_file() and not part.stat().st_size:
        part.unlink()
    return reason


def download_rest(source: str, part: Path, advance: Callable[[float], None]) -> None:
    """Fetch what a partial file lacks, or all of it where the server gives no parts.

    Raises:
        OSError: no connection, a broken one, a refusal, or a disk that cannot be written.
    """
    with part.open("ab") as file:
        begun = file.tell()

        def begin(response: Any, **_: Any) -> None:
            # No such part: more is here than there, so it is something else.
            if response.status_code in (_WHOLE, _RANGE_REFUSED):
                file.truncate(0)

        # Plain: a part of a compressed stream could not be taken up.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
        bar: Any = _Bar(advance)
        options = {"timeout": _TIMEOUT_S, "headers": headers, "hooks": {"response": begin}}
        HTTPDownloader(progressbar=bar, chunk_size=_CHUNK_BYTES, **options)(source, file, None)


class _Bar:
    """A file's share of the stage, told as pooch tells its progress bars."""

    def __init__(self, advance: Callable[[float], None]):
        self.advance = advance
        self.total = 0
        self.share = 0.0

    def update(self, size: int) -> None:
        """Some bytes have come."""
        step = min(size / self.total, 1 - self.share) if self.total else 0
        self.share += step
        self.advance(step)

    def reset(self) -> None:
        """Start again as if nothing had come."""
        self.advance(-self.share)
        self.share = 0.0

    def close(self) -> None:
        """Nothing to be done."""


def _may_pass(error: OSError) -> bool:
    """True where the server answered with something that another attempt may mend."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return status == _RANGE_REFUSED or status >= _SERVER_TROUBLE


def _explain(error: OSError) -> str:
    """In a few words, for libraries wrap their reasons in pages of others."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"HTTP status {status}"
    return error.strerror if error.strerror else f"no connection, or it broke: {type(error).__name__}"
