"""A published folder as a data set on the Hugging Face hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from httpx import HTTPError
from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import disable_progress_bars, validate_repo_id

from analysis.publishing.folder import write_folder
from probing.records import InputError

PREFIX = "hub:"


def upload_run(run: Path, target: str, license_name: str = "", *, private: bool = False) -> str:
    """Publish a run as a data set, in one commit.

    Args:
        run: its folder.
        target: `hub:OWNER/NAME`.
        license_name: of the numbers; empty leaves it out.
        private: whether a data set that is made is for its owner alone.

    Returns:
        Address of the data set.

    Raises:
        InputError: the name is none, there is no token, the hub cannot be reached or refuses; or as `write_folder`.
    """
    name = target.removeprefix(PREFIX)
    check_access(name)
    with TemporaryDirectory() as place:
        folder = write_folder(run, Path(place) / name.rpartition("/")[2], name, license_name)
        disable_progress_bars()
        with _in_one_line(name):
            api = HfApi()
            # An existing one stays as public as it is.
            made = api.create_repo(name, repo_type="dataset", private=private or None, exist_ok=True)
            message = f"Run {run.resolve().name}"
            api.upload_folder(repo_id=made.repo_id, repo_type="dataset", folder_path=folder, commit_message=message)
    return f"{constants.ENDPOINT}/datasets/{made.repo_id}"


def check_access(name: str) -> None:
    """Refuse early what the hub would refuse: a name that is none, and a user whom it does not know.

    Raises:
        InputError: naming what to do.
    """
    try:
        validate_repo_id(name)
    except HFValidationError:
        name = ""
    if name.count("/") != 1:
        raise InputError("--to hub:OWNER/NAME: expected the name of a data set, such as hub:me/bert-base-probed")
    if constants.HF_HUB_OFFLINE:
        raise InputError(f"--to {PREFIX}{name}: HF_HUB_OFFLINE is set; unset it, or give --to a folder")
    if not get_token():
        raise InputError(
            f"--to {PREFIX}{name}: no token of the Hugging Face hub here; give `hf auth login` once, or set HF_TOKEN "
            "to one that may write"
        )


@contextmanager
def _in_one_line(name: str) -> Iterator[None]:
    try:
        yield
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else "no answer"
        reason = " ".join((error.server_message or str(error)).split())[:200]
        raise InputError(
            f"--to {PREFIX}{name}: the hub refuses ({code}: {reason}); is the token one that may write there?"
        ) from error
    except (HTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"--to {PREFIX}{name}: the hub cannot be reached ({reason}); go online first") from error
