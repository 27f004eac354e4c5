"""The package in `tests/outside_package`, installed as pip would: on the path, with its entry points written down."""

import sys
import tomllib
from pathlib import Path

PACKAGE = Path(__file__).parent / "outside_package"


def install(folder: Path) -> list[str]:
    """Write what an installed package leaves beside its code into a folder, and put both on the path.

    Returns:
        What a new interpreter needs on its path for the same.
    """
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    left = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    left.mkdir()
    (left / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = [
        "\n".join([f"[{group}]", *(f"{part} = {place}" for part, place in points.items())])
        for group, points in project["entry-points"].items()
    ]
    (left / "entry_points.txt").write_text("\n\n".join(groups) + "\n")
    path = [str(PACKAGE), str(folder)]
    sys.path[:0] = path
    return path
