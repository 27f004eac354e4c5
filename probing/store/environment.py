"""Environment that numbers depend on beside the settings: versions and the machine."""

import os
import platform
from importlib.metadata import version
from typing import Any

import torch

from probing import __version__

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scikit-learn", "pandas")


def describe_environment() -> dict[str, Any]:
    """Versions, machine and threads, for a manifest."""
    return {
        "versions": {"python": platform.python_version(), "probing": __version__}
        | {name: version(name) for name in _PACKAGES},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "threads": torch.get_num_threads(),
    }
