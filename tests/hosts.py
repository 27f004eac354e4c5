"""Hosts of a small cluster on this machine: network namespaces on a bridge, each with temporary folders of its own.

Nothing leaves the namespaces: the bridge stands in one too, and there is no way out of it. Needs root and ip.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

NEEDED = ("ip", "unshare", "nsenter")
PORT = 6380
SOON = {
    # A host counts as lost after some seconds, and not after a minute.
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "5",
}


def find_obstacle():
    """Why hosts cannot be made here; empty where they can."""
    if os.getuid() != 0:
        return "network namespaces need root"
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    done = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "unshare is refused here"


def call(*words, check=True):
    return subprocess.run(list(map(str, words)), check=check, capture_output=True, text=True).stdout


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.1)
    return found


class Host:
    """A host: its name, address and link, and the processes in its namespaces."""

    def __init__(self, hosts, number):
        self.hosts, self.name, self.address = hosts, f"{hosts.prefix}{number}", f"10.77.0.{number}"
        self.space, self.link = self.name, f"{self.name}l"
        self.keeper, self.begun = None, []

    def start(self, shares, delay_s=0.0, loss=0.0):
        """Make the namespaces; `shares`: folders of this machine below /tmp that are seen there."""
        call("ip", "netns", "add", self.space)
        self.plug_in(delay_s, loss)
        self.hosts.in_switch("ip", "link", "set", self.link, "master", "br0", "up")
        call("ip", "-n", self.space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            call("ip", "-n", self.space, "link", "set", device, "up")
        stage = self.hosts.folder / f"stage.{self.name}"
        stage.mkdir()
        lines = [f"mount -t tmpfs none {stage}"]
        for share in shares:
            place = stage / share.relative_to("/tmp")
            lines += [f"mkdir -p {place}", f"mount --bind {share} {place}"]
        lines += [f"mount --rbind {stage} /tmp", "mount -t tmpfs none /dev/shm", f"hostname {self.name}", "echo made"]
        script = " && ".join([*lines, "exec sleep infinity"])
        command = ["ip", "netns", "exec", self.space, "unshare", "--mount", "--uts", "sh", "-c", script]
        made = self.hosts.folder / f"{self.name}.made"
        with made.open("w") as file:
            self.keeper = subprocess.Popen(command, stdout=file, stderr=file)
        wait_for(lambda: made.read_text() == "made\n", 60, f"the namespaces of {self.name}")

    def plug_in(self, delay_s, loss):
        """A link to the switch; a slow one is made by a process, for not every kernel has one."""
        ends = (self.hosts.switch, self.link, self.space, "eth0")
        if not delay_s and not loss:
            near, link, space, far = ends
            call("ip", "link", "add", link, "netns", near, "type", "veth", "peer", far, "netns", space)
            return
        made = self.hosts.folder / f"{self.name}.link"
        with made.open("w") as file:
            command = [sys.executable, "-m", "tests.slow_link", *ends, str(delay_s), str(loss)]
            self.begun.append(subprocess.Popen(command, cwd=self.hosts.root, stdout=file, stderr=file))
        wait_for(lambda: made.read_text() == "made\n", 60, f"the link of {self.name}")

    def begin(self, command, log):
        """Start a command there."""
        inside = [
            "nsenter",
            f"--target={self.keeper.pid}",
            "--net",
            "--mount",
            "--uts",
            f"--wd={self.hosts.root}",
            *command,
        ]
        with log.open("a") as file:
            begun = subprocess.Popen(list(map(str, inside)), env=self.hosts.environment, stdout=file, stderr=file)
        self.begun.append(begun)
        return begun

    def start_ray(self, *flags):
        """Ray's node, begun again as often as it ends: Ray ends one that it has counted as lost."""
        ray = f"{sys.executable} -m ray.scripts.scripts start --block --node-ip-address={self.address}"
        usual = "--object-store-memory=100000000 --disable-usage-stats"
        line = f"until {ray} {shlex.join(flags)} {usual}; do sleep 1; done"
        return self.begin(["sh", "-c", line], self.hosts.folder / f"{self.name}.log")

    @property
    def starts(self):
        """Number of times that Ray has started there."""
        log = self.hosts.folder / f"{self.name}.log"
        return log.read_text().count("will now block forever") if log.exists() else 0

    def holds(self, pid):
        """True where a process is there."""
        return str(pid) in call("ip", "netns", "pids", self.space).split()

    def hide(self, folder):
        """See a folder no more."""
        call("nsenter", f"--target={self.keeper.pid}", "--mount", "umount", "--lazy", folder)

    def set_link(self, state):
        """Bring the link up, or down."""
        self.hosts.in_switch("ip", "link", "set", self.link, state)

    def signal(self, number):
        """Send all processes there a signal."""
        for pid in call("ip", "netns", "pids", self.space, check=False).split():
            if int(pid) != self.keeper.pid:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), number)

    def end(self):
        """Kill all, and take the namespaces away."""
        for _ in range(2):  # what was started meanwhile too
            self.signal(signal.SIGKILL)
        if self.keeper:
            self.keeper.kill()
            self.keeper.wait()
        for process in self.begun:
            process.kill()
            process.wait()
        call("ip", "netns", "del", self.space, check=False)


class Hosts:
    """A switch, a head that computes nothing, and two workers of a CPU each."""

    def __init__(self, folder, root, variables):
        self.folder, self.root, self.prefix = folder, root, f"p{os.getpid() % 10000}h"
        self.switch = f"{self.prefix}s"
        self.environment = {**os.environ, **SOON, **variables, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
        self.head, *self.workers = self.all = [Host(self, number) for number in (1, 2, 3)]

    def in_switch(self, *words):
        return call("ip", "netns", "exec", self.switch, *words)

    def start(self, seen, **slow):
        """Make all hosts, have them see some folders below /tmp, and have Ray work on them.

        Args:
            seen: the folders.
            slow: `delay_s` and `loss` of the first worker's link.
        """
        call("ip", "netns", "add", self.switch)
        self.in_switch("ip", "link", "add", "br0", "type", "bridge")
        self.in_switch("ip", "link", "set", "br0", "up")
        for host in self.all:
            host.start(seen, **(slow if host is self.workers[0] else {}))
        self.head.start_ray("--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false")
        wait_for(lambda: self.head.starts, 300, "Ray's head starts")
        for host in self.workers:
            host.start_ray(f"--address={self.head.address}:{PORT}", "--num-cpus=1")
        for host in self.workers:
            wait_for(lambda host=host: host.starts, 300, f"Ray starts on {host.name}")

    @property
    def address(self):
        """Where Ray's head answers."""
        return f"{self.head.address}:{PORT}"

    def end(self):
        """Take all away."""
        for host in self.all:
            host.end()
        call("ip", "netns", "del", self.switch, check=False)
