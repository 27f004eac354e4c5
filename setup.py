"""The compiled part. Where it cannot be compiled, installation goes on without it, and a file beside it says why."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pybind11.setup_helpers import Pybind11Extension
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("probing/kernels")
REASON = "not_compiled.txt"
"""What `probing.kernels.why_not` reads."""


class BuildKernels(build_ext):
    """Compiles the kernels; an error is kept in a file, where `optional` would only let it pass."""

    def run(self) -> None:
        """Compile; into the sources too, where that was asked for."""
        super().run()
        if self.inplace:  # super().run() builds elsewhere, and copies
            for ext in self.extensions:
                self._copy_reason(ext)

    def build_extension(self, ext: Extension) -> None:
        """Compile one extension."""
        kept = Path(self.get_ext_fullpath(ext.name)).with_name(REASON)
        kept.unlink(missing_ok=True)
        with tempfile.TemporaryFile() as errors:
            try:
                with redirect_errors(errors):
                    super().build_extension(ext)
            except Exception as error:  # whatever stops a compiler; it is kept, and rises again
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(f"{find_error(errors) or error}\n", encoding="utf-8")
                raise

    def _copy_reason(self, ext: Extension) -> None:
        compiled, source = map(Path, self._get_paths(ext))
        kept, copy = compiled.with_name(REASON), source.with_name(REASON)
        copy.unlink(missing_ok=True)
        if kept.is_file():
            # What was compiled before is older than what could not be now.
            source.unlink(missing_ok=True)
            copy.write_bytes(kept.read_bytes())

    def _get_paths(self, ext: Extension) -> tuple[str, str]:
        package, _, _ = ext.name.rpartition(".")
        folder = self.get_finalized_command("build_py").get_package_dir(package)  # pyright: ignore
        self.inplace, before = False, self.inplace
        compiled = self.get_ext_fullpath(ext.name)
        self.inplace = before
        return compiled, str(Path(folder) / Path(compiled).name)


@contextmanager
def redirect_errors(target: BinaryIO) -> Iterator[None]:
    """Whatever is written to the standard error, by the compiler too, goes into a file, and is shown at the end."""
    sys.stderr.flush()
    before = os.dup(2)
    os.dup2(target.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
        target.seek(0)
        sys.stderr.write(target.read().decode(errors="replace"))


def find_error(errors: BinaryIO) -> str:
    """The first line in which a compiler names an error; empty where there is none."""
    errors.seek(0)
    lines = errors.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in lines if "error" in line), "")


setup(
    cmdclass={"build_ext": BuildKernels},
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
    ],
)
