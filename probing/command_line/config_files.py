"""Files of settings -> flags, as if they stood first on the command line."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from probing.records import InputError
from probing.sealed_json import DamageError, unseal_json
from probing.suggestions import suggest

CONFIG_HELP = (
    "Read settings from this file first, and flags after it: YAML or JSON, names as in --help with _ or -; "
    "a run's own settings.json makes the same numbers again."
)


def take_config(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """The file that `--config` names, if it is given, and the arguments without it.

    Raises:
        InputError: nothing stands behind the flag, or it is given twice.
    """
    paths, others = [], list[str]()
    left = iter(arguments)
    for argument in left:
        if argument == "--config":
            paths.append(next(left, ""))
        elif argument.startswith("--config="):
            paths.append(argument.partition("=")[2])
        else:
            others.append(argument)
    if any(not path or path.startswith("--") for path in paths) or len(paths) > 1:
        raise InputError(f"--config {' '.join(paths)}: expected one file of settings")
    return (Path(paths[0]).expanduser() if paths else None), others


def read_config(path: Path, names: Collection[str]) -> list[str]:
    """The flags that stand for a file of settings.

    Args:
        path: YAML or JSON: one mapping of names to values; null leaves a setting as it is.
        names: of all settings there are.

    Raises:
        InputError: the file cannot be read, is no mapping, names what is no setting, or holds a value of no setting's
            form, such as a mapping.
    """
    values = load_mapping(path)
    flags: list[str] = []
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in names:
            raise InputError(f"{path}: there is no setting {key}; {suggest(name, names)}")
        flags += _write_flag(path, name, value)
    return flags


def load_mapping(path: Path, flag: str = "--config ") -> Mapping[Any, Any]:
    """The one mapping that a YAML or JSON file holds; an empty file holds an empty one.

    Args:
        path: of the file.
        flag: that names it, for messages; empty where it is named by itself.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        content = path.read_bytes()
        # YAML would read JSON too, but not its checksum.
        values = unseal_json(content) if path.suffix == ".json" else yaml.safe_load(content.decode())
    except OSError as error:
        raise InputError(f"{flag}{path}: cannot be read ({error.strerror}); expected a file of settings") from None
    except DamageError:
        raise InputError(f"{flag}{path}: is not as it was written; take an undamaged copy") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())[:200]
        raise InputError(f"{flag}{path}: no YAML or JSON ({line})") from None
    if not isinstance(values, Mapping | None):
        raise InputError(f"{flag}{path}: expected names and values (limit: 1000), got a {type(values).__name__}")
    return values or {}


def _write_flag(path: Path, name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value is None:
        return []
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    if isinstance(value, list | tuple):
        return [flag, *(_write_value(path, name, part) for part in value)]
    return [f"{flag}={_write_value(path, name, value)}"]


def _write_value(path: Path, name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{path}: {name} holds {str(value)[:80]!r}; expected text, a number, or a list of these")
    return str(value)
