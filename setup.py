"""The compiled part. Where no C++ compiler is at hand, the installation goes on without it, and torch encodes."""

from pathlib import Path

from pybind11.setup_helpers import Pybind11Extension
from setuptools import setup

KERNELS = Path("probing/kernels")

setup(
    ext_modules=[
        Pybind11Extension(
            "probing.kernels.compiled",
            sorted(map(str, KERNELS.glob("*.cpp"))),
            depends=sorted(map(str, KERNELS.glob("*.h"))),
            cxx_std=17,
            extra_compile_args=["-O3", "-pthread"],
            extra_link_args=["-pthread"],
            optional=True,
        )
    ]
)
