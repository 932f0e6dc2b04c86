# SPDX-License-Identifier: Apache-2.0
"""Sending byte by byte so that the other side reads byte by byte.

The kernel joins small segments that were not read yet, so the next byte goes when the one before
has left the receive queue of the other socket. It is on this host, and the kernel tells its queue
(sock_diag(7)); no time is guessed."""
import os
import socket
import struct
import time

SOCK_DIAG_BY_FAMILY = 20
NETLINK_SOCK_DIAG = 4
EDGE = 4096  # of what is longer than twice that, this much at each end goes byte by byte
PATIENCE = 0.01  # a reader that waits for something else first gets the rest at once


class Pace:
    """For one thread."""

    def __init__(self):
        self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)

    def close(self):
        self.netlink.close()

    def unread(self, sock):
        """Bytes sent by `sock` that the other side's program has not read; 0 when it is gone."""
        (here, here_port), (there, there_port) = sock.getsockname(), sock.getpeername()
        ask = struct.pack("=IHHII", 72, SOCK_DIAG_BY_FAMILY, 1, 1, 0)
        ask += struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xffffffff)
        ask += struct.pack("!HH", there_port, here_port)
        ask += socket.inet_aton(there) + bytes(12) + socket.inet_aton(here) + bytes(12)
        ask += struct.pack("=III", 0, 0xffffffff, 0xffffffff)
        self.netlink.send(ask)
        told = self.netlink.recv(4096)
        if struct.unpack_from("=H", told, 4)[0] != SOCK_DIAG_BY_FAMILY:
            return 0
        return struct.unpack_from("=I", told, 72)[0]

    def send(self, sock, data):
        """Raises OSError as soon as the other side has gone."""
        starts = range(len(data))
        if len(data) > 2 * EDGE:
            starts = [*starts[:EDGE], *starts[len(data) - EDGE:]]
        for at, following in zip(starts, [*starts[1:], len(data)], strict=True):
            sock.sendall(data[at:following])
            end = time.monotonic() + PATIENCE
            while self.unread(sock):
                if time.monotonic() > end:
                    sock.sendall(data[following:])
                    return
                os.sched_yield()
