"""The queue of Slurm, by way of submitit (github.com/facebookincubator/submitit): arrays of jobs, each a command.

Slurm places jobs, repeats those whose node was lost, and keeps order; submitit queues again what ran out of time or was
preempted. A command must find its own finished work when it is given again.
"""

# Where the package is not installed, pyright takes it for unknown.
# pyright: reportMissingImports=false

import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import DelayedSubmission

from probing.records import InputError
from probing.work import Command, QueueOptions

_ROOT = Path(__file__).parents[2]
"""Folder that holds the package, so that jobs find the same one."""
_SETUP = (
    f"export PYTHONPATH={shlex.quote(str(_ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}",
    "export HF_HUB_OFFLINE=1",  # nodes may have no network, and what is needed was fetched by whoever submits
)
_ENDED_WELL = (0, 1)
"""Exit codes of a command that did what it could: 1 where single cells failed, which are in its tables."""
_ASK_S = 60
"""Longest that Slurm may take to answer, in seconds."""


class Job:
    """A command as a job: given again when Slurm breaks it off."""

    def __init__(self, command: Command):
        self.command = list(command)

    def __call__(self) -> int:
        """Run the command in a process of its own; its exit code.

        Raises:
            RuntimeError: it did not end as it should.
        """
        # Slurm signals all processes of a job. A child inherits what is blocked, and so outlives the request to queue
        # the job again, which this process makes when it gets the signal.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        try:
            child = subprocess.Popen(self.command)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
        code = child.wait()
        if code not in _ENDED_WELL:
            raise RuntimeError(f"exit code {code} of {' '.join(self.command)}; its messages stand in the log beside")
        return code

    def checkpoint(self) -> DelayedSubmission:
        """The same command again."""
        return DelayedSubmission(self)


class SlurmQueue:
    """Arrays of jobs.

    Args:
        options: wishes of the user.

    Raises:
        InputError: Slurm's commands are not here, or an option is none.
    """

    def __init__(self, options: QueueOptions):
        if not shutil.which("sbatch") or not shutil.which("srun"):
            raise InputError("--engine slurm: no sbatch here; give the command on a machine of the cluster that has it")
        self._options = options

    def submit(self, arrays: Mapping[str, Sequence[Command]]) -> list[str]:
        """Queue arrays, each to begin when the one before has ended.

        Raises:
            InputError: Slurm does not take one; those before it are taken back.
        """
        self._options.folder.mkdir(parents=True, exist_ok=True)
        jobs: list[str] = []
        for name, commands in arrays.items():
            try:
                jobs.append(self._submit(name, commands, jobs[-1] if jobs else ""))
            except (FailedJobError, FailedSubmissionError, subprocess.SubprocessError, OSError) as error:
                if jobs:
                    subprocess.run(["scancel", *jobs], check=False, capture_output=True, timeout=_ASK_S)
                raise InputError(f"--engine slurm: sbatch refuses ({_find_reason(error)}); mend that") from None
        return jobs

    def count_open(self, jobs: Sequence[str]) -> int | None:
        """Number of commands that wait or work; none where Slurm does not answer."""
        command = ["squeue", "--noheader", "--array", "--format=%i", f"--jobs={','.join(jobs)}"]
        with suppress(OSError, subprocess.TimeoutExpired):
            asked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_ASK_S)
            if not asked.returncode:
                return len(asked.stdout.split())
            # Slurm forgets jobs some minutes after their end.
            if "Invalid job id" in asked.stderr:
                return 0
        return None

    def _submit(self, name: str, commands: Sequence[Command], before: str) -> str:
        options, further = self._options, dict(self._options.further)
        if before:
            further["dependency"] = f"afterany:{before}"
        executor = submitit.SlurmExecutor(folder=options.folder, max_num_timeout=options.retries)
        parameters: dict[str, Any] = {
            "job_name": name,
            "time": options.minutes,
            "cpus_per_task": options.threads,
            "array_parallelism": options.workers,
            "setup": [*_SETUP, *options.setup],
            "stderr_to_stdout": True,
            "additional_parameters": further,
        }
        executor.update_parameters(**parameters)
        with executor.batch():
            submitted = [executor.submit(Job(command)) for command in commands]
        return str(submitted[0].job_id).partition("_")[0]


def _find_reason(error: Exception) -> str:
    text = getattr(error, "stderr", None) or str(error)
    return " ".join(str(text).split())[:300]


def open_queue(options: QueueOptions) -> SlurmQueue:
    """Slurm's queue."""
    return SlurmQueue(options)
