# SPDX-License-Identifier: Apache-2.0
"""Hosts of the test's own: network namespaces with a switch between them."""
import ctypes
import shutil
import signal
import socket
import subprocess
import threading

CLONE_NEWNET = 0x40000000


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def can_make_hosts():
    return bool(shutil.which("ip") and shutil.which("nsenter")) and subprocess.run(
        ["unshare", "-n", "ip", "link", "add", "br0", "type", "bridge"], capture_output=True,
        check=False).returncode == 0


class Place:
    """A namespace that is there as long as the process that holds it."""

    def __init__(self, name):
        self.holder = subprocess.Popen(
            ["unshare", "-n", "-u", "sh", "-c", f"echo {name} >/proc/sys/kernel/hostname && "
             "ip link set lo up && echo up && exec sleep 3600"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        assert self.holder.stdout.readline() == b"up\n"
        self.enter = ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net",
                      f"--uts=/proc/{self.holder.pid}/ns/uts"]

    def inside(self, function):
        """What the function returns, called by a thread that went there."""
        made = []

        def run():
            with open(f"/proc/{self.holder.pid}/ns/net", "rb") as place:
                assert ctypes.CDLL(None).setns(place.fileno(), CLONE_NEWNET) == 0
            made.append(function())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return made[0]

    def socket(self, kind=socket.SOCK_STREAM):
        return self.inside(lambda: socket.socket(socket.AF_INET, kind))

    def ip(self, *arguments):
        subprocess.run([*self.enter, "ip", *arguments], check=True, capture_output=True)

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


class Host(Place):
    def __init__(self, network, number):
        super().__init__(f"host{number}")
        self.network, self.address = network, f"10.77.0.{number}"
        self.port = f"v{number}"
        self.programs = []
        network.switch.ip("link", "add", self.port, "type", "veth", "peer", "name", "eth0",
                          "netns", str(self.holder.pid))
        network.switch.ip("link", "set", self.port, "master", "br0", "up")
        self.ip("addr", "add", f"{self.address}/24", "dev", "eth0")
        self.ip("link", "set", "eth0", "up")

    def run(self, *command, **options):
        """A program on this host, which goes with it."""
        program = subprocess.Popen([*self.enter, *command], stdin=subprocess.DEVNULL,
                                   preexec_fn=die_with_parent, **options)
        self.programs.append(program)
        return program

    def unplug(self):
        """What it sends is lost, and nobody is told."""
        self.network.switch.ip("link", "set", self.port, "nomaster")

    def plug(self):
        self.network.switch.ip("link", "set", self.port, "master", "br0")

    def close(self):
        for program in self.programs:
            program.kill()
            program.wait()
        super().close()


class Network:
    def __init__(self):
        self.switch = Place("switch")
        self.hosts = []
        self.switch.ip("link", "add", "br0", "type", "bridge")
        self.switch.ip("link", "set", "br0", "up")

    def host(self):
        self.hosts.append(Host(self, len(self.hosts) + 1))
        return self.hosts[-1]

    @staticmethod
    def serve(host, folder, address=None):
        """A service on a host, at port 8080."""
        folder.mkdir(exist_ok=True)
        address = address or host.address
        host.run("python3", "-m", "http.server", "8080", "--bind", address, cwd=folder,
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return f"{address}:8080"

    def close(self):
        for host in self.hosts:
            host.close()
        self.switch.close()
