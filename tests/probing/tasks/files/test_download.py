"""The official files against a server on this machine that misbehaves in every way that real ones do."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from probing.catalogue.tasks import SENTEVAL_TASKS
from probing.progress import Reporter
from probing.records import InputError
from probing.tasks.files.download import BLOB_IDS, blob_id, fetch_files
from probing.tasks.files.senteval import format_rows

REPOSITORY = Path(__file__).parents[4]
NAME = "tree_depth"


def make_content(n: int = 4000) -> bytes:
    words = np.random.default_rng(0).integers(0, 10**6, size=(n, 6)).astype(str)
    marks = ["train"] * (n - 200) + ["dev"] * 100 + ["test"] * 100
    rows = [(mark, str(5 + row % 8), " ".join(words[row])) for row, mark in enumerate(marks)]
    return format_rows(rows).encode()


CONTENT = make_content()
IDS = {NAME: blob_id(CONTENT)}


class Server:
    """Serves CONTENT at every address; `plan` says how the next requests are answered, soundly where it is used up."""

    def __init__(self) -> None:
        self.plan: list[str] = []
        self.ranges: list[str | None] = []
        self.url = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.ranges.append(request.headers.get("Range"))
        deed = self.plan.pop(0) if self.plan else "sound"
        if deed.isdigit():
            request.send_error(int(deed))
            return
        content = {"truncated": CONTENT[:5000], "wrong": CONTENT[::-1]}.get(deed, CONTENT)
        start = int(self.ranges[-1][len("bytes=") : -1]) if self.ranges[-1] and deed != "no ranges" else 0
        if start >= len(content):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(content) - start))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        sent = content[start:]
        # A broken connection: less comes than was announced.
        request.wfile.write(sent[: len(sent) // 2] if deed == "dropped" else sent)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as found:
        yield found


@contextmanager
def serve() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_address[1]}/data/probing"
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        http.shutdown()
        thread.join()


def fetch(server: Server, folder: Path) -> None:
    fetch_files([NAME], folder, server.url, Reporter(quiet=True), IDS, pause_s=0.0)


def expect_one_line(error: InputError) -> str:
    message = str(error)
    assert "\n" not in message
    return message


def test_blob_ids_are_gits() -> None:
    """The values are those of `git hash-object`."""
    assert blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_every_official_task_has_a_blob_id() -> None:
    assert set(BLOB_IDS) == {spec.name for spec in SENTEVAL_TASKS}
    assert len(set(BLOB_IDS.values())) == 10
    assert all(len(value) == 40 and int(value, 16) for value in BLOB_IDS.values())


def test_a_sound_server_is_asked_once_and_then_never_again(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    fetch(server, tmp_path)
    assert server.ranges == [None]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {f"{NAME}.txt": CONTENT}


def test_a_dropped_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.plan = ["dropped", "dropped"]
    fetch(server, tmp_path)
    assert server.ranges[0] is None
    first, second = (int(begun[len("bytes=") : -1]) for begun in server.ranges[1:] if begun)
    # Half of it came, then half of the rest; what is lost of each is less than one chunk of 4 KiB.
    assert 0 <= len(CONTENT) // 2 - first < 4096
    assert 0 <= first + (len(CONTENT) - first) // 2 - second < 4096
    assert (tmp_path / f"{NAME}.txt").read_bytes() == CONTENT


def test_an_interrupted_fetch_leaves_a_part_that_the_next_run_takes_up(server: Server, tmp_path: Path) -> None:
    server.plan = ["dropped", "404"]
    with pytest.raises(InputError, match="404"):
        fetch(server, tmp_path)
    parts = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert list(parts) == [f".{NAME}.txt.part"]
    fetch(server, tmp_path)
    assert server.ranges[-1] == f"bytes={parts[f'.{NAME}.txt.part']}-"
    assert (tmp_path / f"{NAME}.txt").read_bytes() == CONTENT


def test_a_server_without_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    server.plan = ["dropped", "no ranges"]
    fetch(server, tmp_path)
    assert (tmp_path / f"{NAME}.txt").read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"something else", CONTENT + b"more", CONTENT], ids=["other", "longer", "whole"])
def test_a_stale_part_does_no_harm(server: Server, tmp_path: Path, stale: bytes) -> None:
    (tmp_path / f".{NAME}.txt.part").write_bytes(stale)
    fetch(server, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {f"{NAME}.txt": CONTENT}


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.plan = ["503", "503"]
    fetch(server, tmp_path)
    assert len(server.ranges) == 3


@pytest.mark.parametrize(
    ("plan", "reason", "n_requests"),
    [
        (["404"], "HTTP status 404", 1),
        (["503"] * 20, "HTTP status 503", 8),
        (["truncated"] * 9, "not SentEval's file: 5,000 bytes", 2),
        (["wrong"] * 9, f"not SentEval's file: {len(CONTENT):,} bytes", 2),
    ],
)
def test_what_cannot_be_fetched_ends_in_one_line_and_no_file(
    server: Server, tmp_path: Path, plan: list[str], reason: str, n_requests: int
) -> None:
    server.plan = list(plan)
    with pytest.raises(InputError, match=reason) as caught:
        fetch(server, tmp_path)
    message = expect_one_line(caught.value)
    assert f"{server.url}/{NAME}.txt" in message
    assert str(tmp_path) in message
    assert "facebookresearch/SentEval" in message
    assert len(server.ranges) == n_requests
    assert not list(tmp_path.glob("*.txt"))


def test_without_a_connection_it_says_at_once_what_to_bring_where(tmp_path: Path) -> None:
    with serve() as server:
        pass
    with pytest.raises(InputError, match="no connection") as caught:
        fetch_files([NAME], tmp_path, server.url, Reporter(quiet=True), IDS, pause_s=60.0)
    message = expect_one_line(caught.value)
    assert message.startswith(f"{tmp_path}: lacks {NAME}.txt, and {server.url}/{NAME}.txt could not be fetched")
    assert "bring the files from data/probing of github.com/facebookresearch/SentEval, commit 5d6dc11" in message
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_the_official_one_is_refused_and_kept(server: Server, tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.txt"
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match="is not SentEval's file") as caught:
        fetch(server, tmp_path)
    expect_one_line(caught.value)
    assert path.read_bytes() == CONTENT[:-1]
    assert server.ranges == []


def test_a_folder_that_cannot_be_made_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        fetch(server, tmp_path / "file" / "senteval")
    expect_one_line(caught.value)


@pytest.mark.slow
def test_the_script_fetches_tells_and_ends_with_2(server: Server, tmp_path: Path) -> None:
    """End to end: what the server sends is not the official file, and the user reads one line."""
    script = REPOSITORY / "probing" / "run_senteval.py"
    command = [sys.executable, "-I", str(script), "--data", "senteval", "--tasks", "tree_depth", "--senteval-url"]
    result = subprocess.run([*command, server.url], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "data/corpora/senteval: lacks tree_depth.txt" in result.stderr.splitlines()[-1]
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
