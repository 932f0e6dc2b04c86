# SPDX-License-Identifier: Apache-2.0
"""The proxies under measure, each as a process tree whose CPU time and memory can be read."""
import contextlib
import os
import pathlib
import re
import shutil
import socket
import string
import subprocess
import time

import world
from programs import BUILD, ROOT, Backend, pinned

PEERS = pathlib.Path(__file__).resolve().parent / "peers"
PIPE_SIZE_MAX = pathlib.Path("/proc/sys/fs/pipe-max-size")


def tree(pid):
    """The process and its descendants; the kernel tells parents only."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = stat.read_text()
            parents[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


class Cpu:
    """CPU time of a process tree. The sum is exact to the nanosecond; how it divides into user and
    system the kernel samples, so that only sums over many runs say it well."""

    def __init__(self, pids):
        self.total, self.user, self.system = 0, 0, 0
        for one in pids:
            for task in pathlib.Path(f"/proc/{one}/task").iterdir():
                self.total += int((task / "schedstat").read_text().split()[0])
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                self.user += int(fields[11])
                self.system += int(fields[12])

    def __sub__(self, before):
        difference = Cpu.__new__(Cpu)
        for name in ("total", "user", "system"):
            setattr(difference, name, getattr(self, name) - getattr(before, name))
        return difference


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def make_certificate(path):
    """A key of P-256 and the certificate signed with it, in one file, as HAProxy wants them."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                    "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example",
                    "-keyout", path, "-out", path.with_suffix(".crt")],
                   check=True, capture_output=True)
    with path.open("a") as file:
        file.write(path.with_suffix(".crt").read_text())


class Backends:
    """What is behind each proxy, and the certificate in front of it."""

    def __init__(self, directory, core=None, message_size=128):
        self.http1 = Backend(core)
        self.grpc = Backend(core, "bench-backend-h2", [message_size])
        self.certificate = pathlib.Path(directory) / "shop.pem"
        make_certificate(self.certificate)

    def stop(self):
        self.http1.stop()
        self.grpc.stop()


class Server:
    """A proxy on one core. Its `addresses` are those of HTTP/1.1 ("plain"), of HTTP/2 by prior
    knowledge ("h2"; of gRPC "grpc") and of HTTP/1.1 over TLS ("tls")."""

    def __init__(self, directory, backends, core=None):
        self.directory = pathlib.Path(directory) / self.name
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.backends, self.core = backends, core
        self.start()

    @property
    def pids(self):
        """Looked up each time: a worker may come later than the socket that it serves."""
        return tree(self.process.pid)

    def cpu(self):
        return Cpu(self.pids)

    def anonymous(self):
        """Bytes of memory of its own: heap, stacks, no mapped files."""
        size = 0
        for pid in self.pids:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            size += int(re.search(r"Anonymous: *(\d+) kB", text)[1]) * 1024
        return size


class Peer(Server):
    """One that is started with a file made from bench/peers. What it serves at one address, `same`
    tells."""

    def start(self):
        ports = {name: free_port() for name in ("plain", "h2", "grpc", "tls")}
        self.addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        for name, other in self.same.items():
            self.addresses[name] = self.addresses[other]
        text = string.Template((PEERS / self.config).read_text()).substitute(
            self.addresses, address=self.addresses["plain"], port=ports["plain"],
            tls_port=ports["tls"], backend=self.backends.http1.address,
            backend_h2=self.backends.grpc.address, certificate=self.backends.certificate,
            directory=self.directory, user="user root;" if os.geteuid() == 0 else "",
            pipesize=min(1 << 20, int(PIPE_SIZE_MAX.read_text())))
        path = self.directory / self.config
        path.write_text(text)
        self.log = open(self.directory / "log", "w")  # noqa: SIM115 (it is the process's)
        self.process = subprocess.Popen(
            [*pinned(self.core), *self.command, path], stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log)
        self._wait(ports["plain"])

    def _wait(self, port):
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    text = (self.directory / "log").read_text()
                    raise RuntimeError(f"{self.name} did not start: {text}") from None
                time.sleep(0.01)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    @classmethod
    def version(cls):
        if not shutil.which(cls.command[0]):
            return None
        done = subprocess.run([cls.command[0], "-v"], capture_output=True, text=True, check=False)
        return re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)[0]


class Nginx(Peer):
    name, config, same = "nginx", "nginx.conf", {"grpc": "h2"}
    command = ["nginx", "-c"]


class Haproxy(Peer):
    name, config, same = "haproxy", "haproxy.cfg", {}
    command = ["haproxy", "-db", "-f"]


class H2o(Peer):
    name, config, same = "h2o", "h2o.yaml", {"h2": "plain"}
    command = ["h2o", "-c"]


class Sarsen(Server):
    name = "sarsen"

    def start(self):
        world.copy_to(self.directory)
        self.sarsen = world.Sarsen(self.directory, self.core, self.backends.certificate)
        self.process = self.sarsen.process
        plain, tls = self.sarsen.edges
        self.addresses = {"plain": plain, "h2": plain, "grpc": plain, "tls": tls}

    def cookies(self, n):
        return world.attach(self.sarsen, self.backends, n)

    def stop(self):
        self.sarsen.stop()

    @classmethod
    def version(cls):
        if not (BUILD / "src" / "daemon" / "sarsen").exists():
            return None
        done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, text=True,
                              capture_output=True, check=False)
        return done.stdout.strip()


SERVERS = {server.name: server for server in (Sarsen, Nginx, Haproxy, H2o)}
