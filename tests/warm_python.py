"""A Python that has read torch and other packages already; a program that it is asked for starts in a copy of it.

`python warm_python.py SOCKET` serves. Who calls `start` stands for the program: folder, environment and streams become
its own, and the exit code is returned. Packages of the project are read by each program itself.
"""

import json
import os
import runpy
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

HEAVY = (
    "accelerate",
    "altair",
    "lemminflect",
    "matplotlib.backends.backend_pdf",
    "matplotlib.pyplot",
    "nltk.tree",
    "pandas",
    "pyarrow.parquet",
    "scipy.stats",
    "seaborn",
    "sklearn.linear_model",
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.bert.modeling_bert",
    "tyro",
)
"""What the commands spend the time of their start on."""
STREAMS = (0, 1, 2)


def start(address: str, words: list[str]) -> int:
    """Run `python WORDS` in a copy of the process that serves there; returns its exit code."""
    asked = json.dumps({"words": words, "folder": str(Path.cwd()), "environment": dict(os.environ)}).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [len(asked).to_bytes(8, "little")], STREAMS)
        connection.sendall(asked)
        return int(connection.recv(16))


def serve(address: str) -> list[str]:
    """Copy this process for each one that asks; returns in the copies alone, with the words that they are to run."""
    for name in HEAVY:
        import_module(name)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the copies are waited for by nobody
        connection, _ = server.accept()
        while os.fork():
            connection.close()
            connection, _ = server.accept()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    words = take_over(connection)
    program = os.fork()
    if program:
        code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
        connection.sendall(str(code if code >= 0 else 128 - code).encode())
        os._exit(0)
    connection.close()
    return words


def take_over(connection: socket.socket) -> list[str]:
    """Folder, environment and streams of who asks become those of this process; returns the words."""
    size, streams, *_ = socket.recv_fds(connection, 8, len(STREAMS))
    left, content = int.from_bytes(size, "little"), b""
    while len(content) < left:
        content += connection.recv(left - len(content))
    asked = json.loads(content)
    for mine, its in zip(STREAMS, streams, strict=True):
        os.dup2(its, mine)
        os.close(its)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    return asked["words"]


def run(words: list[str]) -> None:
    """Do what `python WORDS` does: a module, a program in the words or on the input, or a file."""
    first, *rest = words
    sys.path[0] = ""
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first in ("-c", "-"):
        source = rest[0] if first == "-c" else sys.stdin.read()
        sys.argv = [first, *rest[first == "-c" :]]
        sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(source, "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        sys.argv, sys.path[0] = words, os.path.dirname(first)  # noqa: PTH120 - as Python has it
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    run(serve(sys.argv[1]))
