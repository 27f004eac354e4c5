"""What timings depend on: processor, threads, number format, versions, code, and what else the machine was doing."""

import os
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from probing.encoders.bert import build
from probing.kernels import find_engine
from probing.probes.fused import choose_engine
from probing.store.environment import describe_environment


def describe_machine(checkpoint: str) -> dict[str, Any]:
    """To be called before anything is measured, since the load is that of the moment.

    `backend` is what encodes this checkpoint, `unit` the compiled kernels' engine that does, empty where torch does;
    `probe_unit` is that of the probes' products; `commit` has a + where files were changed since.
    """
    described = describe_environment()
    described["versions"] |= {name: version(name) for name in ("accelerate", "sentence-transformers")}
    described["machine"] |= {"load_average": list(os.getloadavg())}
    encoder, code = build(checkpoint, device="cpu"), described.pop("code")
    return described | {
        "dtype": encoder.dtype,
        "backend": encoder.backend,
        "unit": find_engine(encoder.dtype) if encoder.backend == "fused" else "",
        "probe_unit": choose_engine(),
        "commit": code.get("commit", "") + ("+" if code.get("changed") else ""),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
