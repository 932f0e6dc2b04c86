# SPDX-License-Identifier: Apache-2.0
"""Processes: who they run as, where, and that none of them is left behind."""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from .errors import DemoError

USER = "sarsen"
PR_SET_PDEATHSIG = 1
STOP_SECONDS = 10

libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent):
    """What a child does before exec: the kernel ends it when its parent ends, however that was.

    Must be called after the change of user, which clears the setting; subprocess does it so.
    """

    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it went before the call
            os._exit(1)

    return prepare


def ordinary_user():
    """The user to run as: oneself, or the system user `sarsen` when one is root."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent"]
        subprocess.run([*command, "--shell", "/usr/sbin/nologin", USER], check=True)
        return pwd.getpwnam(USER)


def free_ports(count):
    """Ports that nobody uses now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def refuse_taken(ports):
    """Raises DemoError that names each port of {port: what for} that is in use."""
    taken = []
    for port, purpose in ports.items():
        with socket.socket() as probe:
            # Connections of the last run that are still in TIME_WAIT are no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                taken.append(f"{port} ({purpose})")
    if taken:
        ports = ", ".join(taken)
        raise DemoError(
            f"port taken on 127.0.0.1: {ports}. `ss -ltnp` shows by whom; end that first, or "
            "choose others: python3 examples/shop/demo.py --ports EDGE,INTERNAL,API."
        )


class Process:
    def __init__(self, name, popen, log):
        self.name = name
        self.popen = popen
        self.log = log

    def is_running(self):
        return self.popen.poll() is None

    def kill(self):
        """As a crash would: no signal that it could handle."""
        self.popen.kill()
        self.popen.wait()

    def log_lines(self):
        return self.log.read_text(errors="replace").splitlines()


class Runner:
    """A fresh folder below /tmp, owned by the ordinary user, and the processes in it."""

    def __init__(self):
        self.user = ordinary_user()
        self.folder = Path(tempfile.mkdtemp(prefix="sarsen-shop-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.processes = []
        for name in ("logs", "home"):
            (self.folder / name).mkdir()

    def bring(self, source, name):
        """Copies what will run: the checkout may lie where the ordinary user cannot read."""
        target = self.folder / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target)
        return target

    def hand_over(self):
        """Gives the folder and all in it to the ordinary user."""
        if os.getuid() != 0:
            return
        for folder, _, files in os.walk(self.folder):
            for path in [folder, *(os.path.join(folder, name) for name in files)]:
                os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)

    def environment(self, extra=None):
        """Nothing of the caller's but the path: the demo runs the same for everyone."""
        base = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
        }
        return dict(base, **(extra or {}))

    def options(self, environment=None):
        """What all children have in common, for subprocess."""
        options = {
            "cwd": self.folder,
            "env": self.environment(environment),
            "process_group": 0,  # Ctrl-C is for the driver, which stops them in order
            "preexec_fn": die_with(os.getpid()),
        }
        if os.getuid() == 0:
            options.update(user=self.user.pw_uid, group=self.user.pw_gid, extra_groups=[])
        return options

    def start(self, name, command, environment=None, **options):
        log = self.folder / "logs" / f"{name}.log"
        with log.open("ab") as stream:
            options.setdefault("stdout", stream)
            options.setdefault("stdin", subprocess.DEVNULL)
            popen = subprocess.Popen(
                [str(part) for part in command],
                stderr=stream,
                **self.options(environment),
                **options,
            )
        process = Process(name, popen, log)
        self.processes.append(process)
        return process

    def run(self, command, environment=None):
        """Runs a command to its end; returns the CompletedProcess with text output."""
        return subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            **self.options(environment),
        )

    def stop(self, process):
        """Asks one process to end, and sees to it."""
        if process.is_running():
            process.popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.popen.wait(STOP_SECONDS)
        # Whatever it started and left is in its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.popen.pid, signal.SIGKILL)
        process.popen.wait()

    def stop_all(self):
        """In reverse order, so that nobody loses what they depend on while they end."""
        while self.processes:
            self.stop(self.processes[-1])
            self.processes.pop()

    def left_behind(self):
        """Command lines of processes that still work in the folder: children of children too."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "cwd").readlink().is_relative_to(self.folder):
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
            except OSError:  # it ended meanwhile, is a zombie, or somebody else's
                continue
        return found

    def remove_folder(self):
        shutil.rmtree(self.folder, ignore_errors=True)
