"""Environment that numbers may depend on beside the settings: command, code, packages and machine. Nothing reads it."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import torch

from probing import __version__
from probing.kernels import find_engine

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scikit-learn", "pandas")
_CPUINFO = Path("/proc/cpuinfo")
_GIT_S = 10
"""Longest that git may take, in seconds."""
ROOT = Path(__file__).parents[2]
"""Folder that holds the package: the top of a checkout, or where packages are installed."""


def describe_environment() -> dict[str, Any]:
    """Command, code, versions, machine and threads, for a manifest."""
    return {
        "command": shlex.join(sys.argv),
        "code": describe_code(ROOT),
        "versions": {"python": platform.python_version(), "probing": __version__}
        | {name: version(name) for name in _PACKAGES},
        "packages": describe_packages(),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cpu": name_processor(),
            "instruction_set": torch.backends.cpu.get_cpu_capability(),
            "cores": os.cpu_count(),
        },
        "threads": torch.get_num_threads(),
    }


@cache
def describe_machine(device: str = "cpu") -> dict[str, str]:
    """Host, processor, instruction set of the kernels, and GPU: the last digits of numbers depend on the last three."""
    engine = "amx" if find_engine("bfloat16") == "amx" else find_engine("float32")
    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") else ""
    return {"host": platform.node(), "processor": name_processor(), "instruction_set": engine or "torch", "gpu": gpu}


def describe_code(folder: Path) -> dict[str, Any]:
    """The commit of a checkout, and whether files in git were changed since.

    Args:
        folder: the checkout's top.

    Returns:
        `commit` and `changed`; empty where the folder is no checkout of its own, or git does not answer.
    """
    # An installation inside somebody's checkout has no commit of its own.
    if not (folder / ".git").exists():
        return {}
    try:
        commit = _ask_git(folder, "rev-parse", "HEAD")
        changes = _ask_git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return {}
    return {"commit": commit, "changed": bool(changes)}


@cache
def describe_packages() -> dict[str, Any]:
    """Number of installed packages, and a hash of their names and versions: equal where all of them are.

    They are read once, at the first run of a program: what is installed later, it has not loaded.
    """
    found = set[str]()
    for package in distributions():
        # Damaged ones have no name.
        with suppress(KeyError, TypeError, AttributeError, OSError):
            facts = package.metadata
            found.add(f"{facts['Name'].lower()}=={facts['Version']}")
    return {"count": len(found), "sha256": hash_packages(found)}


def hash_packages(packages: Iterable[str]) -> str:
    """SHA-256 of `name==version` lines, sorted; their order does not matter."""
    return sha256("\n".join(sorted(packages)).encode()).hexdigest()


def name_processor() -> str:
    """The processor's name; empty where the system does not tell."""
    with suppress(OSError, UnicodeDecodeError):
        for line in _CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _ask_git(folder: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=_GIT_S)
    return done.stdout.strip()
