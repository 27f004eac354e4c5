"""What timings depend on: processor, threads, number format, versions, code, and what else the machine was doing."""

import os
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from probing.encoders.bert import build
from probing.kernels import find_engine
from probing.probes.fused import choose_engine
from probing.store.environment import describe_environment

ROOT = Path(__file__).parents[2]
_CPUINFO = Path("/proc/cpuinfo")


def describe_machine(checkpoint: str) -> dict[str, Any]:
    """To be called before anything is measured, since the load is that of the moment.

    `backend` is what encodes this checkpoint, `unit` the compiled kernels' engine that does, empty where torch does;
    `probe_unit` is that of the probes' products.
    """
    described = describe_environment()
    described["versions"] |= {name: version(name) for name in ("accelerate", "sentence-transformers")}
    described["machine"] |= {"cpu": read_cpu(), "load_average": list(os.getloadavg())}
    encoder = build(checkpoint, device="cpu")
    return described | {
        "dtype": encoder.dtype,
        "backend": encoder.backend,
        "unit": find_engine(encoder.dtype) if encoder.backend == "fused" else "",
        "probe_unit": choose_engine(),
        "commit": read_commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def read_cpu() -> str:
    """The processor's name; empty where the system does not tell."""
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def read_commit() -> str:
    """The commit of the code, with a + where files were changed since; empty outside a checkout."""
    commit, changes = _ask_git("rev-parse", "HEAD"), _ask_git("status", "--porcelain", "--untracked-files=no")
    return commit + ("+" if changes else "")


def _ask_git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
