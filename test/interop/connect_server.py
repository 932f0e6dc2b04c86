#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The server under test of the Connect project's conformance suite: its reference server with a
gateway in front.

    connect_server.py REFERENCE_SERVER SARSEN FAULTS

The suite sends a ServerCompatRequest that says what to serve, and wants a ServerCompatResponse that
says where: protobuf messages behind their size. It ends this process by SIGTERM, and does not look
at its status: what is wrong with the gateway then is written to the file FAULTS.
"""
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from support.daemon import Daemon  # noqa: E402 needs the path

PROTOCOL_GRPC = HTTP_VERSION_2 = 2
ROUTES = """\
routes:
  - match: {{ prefix: / }}
    upstream: {service}
    protocol: http2
"""
SEALED = """\
    upstream_tls: {{ ca: {0}/cert.pem }}
"""
TLS = "  edge: {{ address: 127.0.0.1:0, tls: {{ certificates: {{ certificate: {0}/cert.pem, " \
      "key: {0}/key.pem }} }} }}\n"


# --- the little of protobuf that is needed ---

def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def decode(data):
    """Field numbers and their values: numbers, and bytes."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        fields[tag >> 3] = value
    return fields


def encode(fields):
    return b"".join(varint(number << 3 | 2) + varint(len(value)) + value
                    if isinstance(value, bytes) else varint(number << 3) + varint(value)
                    for number, value in fields.items())


def read_message(stream):
    size, = struct.unpack(">I", stream.read(4))
    return decode(stream.read(size))


def write_message(stream, fields):
    data = encode(fields)
    stream.write(struct.pack(">I", len(data)) + data)
    stream.flush()


def serve(request, server, binary, directory):
    """Starts both; where the gateway listens, and what it shows for a certificate."""
    wanted = {1: PROTOCOL_GRPC, 2: HTTP_VERSION_2}
    if 6 in request:
        wanted[6] = request[6]  # the largest message
    if request.get(4):  # a client that speaks TLS has it behind the gateway too
        wanted |= {4: 1, 7: request[7]}
    write_message(server.stdin, wanted)
    service = read_message(server.stdout)

    address = f"{service[1].decode()}:{service[2]}"
    routes = ROUTES.format(service=address)
    if request.get(4):
        routes = ROUTES.format(service=f"https://{address}") + SEALED.format(directory)
    daemon = Daemon(binary, directory, routes)
    credentials = decode(request.get(7, b""))
    if request.get(4):
        (daemon.directory / "cert.pem").write_bytes(credentials[1])
        (daemon.directory / "key.pem").write_bytes(credentials[2])
        daemon.config.write_text(daemon.config.read_text().replace(
            "  edge: 127.0.0.1:0\n", TLS.format(directory)))
    daemon.start()
    host, _, port = daemon.edge.removeprefix("https://").rpartition(":")
    answer = {1: host.encode(), 2: int(port)}
    if request.get(4):
        answer[3] = credentials[1]
    return daemon, answer


def main():
    reference_server, binary, faults = sys.argv[1:]
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with tempfile.TemporaryDirectory() as directory, \
            subprocess.Popen([reference_server], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE) as server:
        request = read_message(sys.stdin.buffer)
        daemon, answer = serve(request, server, binary, directory)
        write_message(sys.stdout.buffer, answer)
        ended.wait()
        try:
            daemon.stop()
            daemon.check_log()
        except AssertionError as fault:
            with open(faults, "a", encoding="utf-8") as file:
                file.write(f"{fault}\n")
        server.terminate()


main()
