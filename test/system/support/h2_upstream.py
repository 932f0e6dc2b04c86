# SPDX-License-Identifier: Apache-2.0
"""An upstream of HTTP/2 that a test plays by hand: what it says and when is the test's choice."""
import queue
import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events


class H2Upstream:
    """`play(wire, stream, headers)` is called for every request's end; it answers by the wire."""

    def __init__(self, play):
        self.play = play
        self.requests = queue.Queue()
        self.n_connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.n_connections += 1
            wire = H2Wire(self, connection, self.n_connections)
            threading.Thread(target=wire.run, daemon=True).start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class H2Wire:
    def __init__(self, upstream, connection, number):
        self.upstream, self.socket, self.number = upstream, connection, number
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.heads = {}
        self.resets = {}

    def run(self):
        self.h2.initiate_connection()
        self.flush()
        try:
            while data := self.socket.recv(65536):
                for event in self.h2.receive_data(data):
                    self.on_event(event)
                self.flush()
        except OSError:
            pass
        finally:
            self.socket.close()

    def on_event(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.heads[event.stream_id] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets[event.stream_id] = event.error_code
            self.upstream.requests.put(("reset", event.error_code))
        elif isinstance(event, h2.events.StreamEnded):
            self.upstream.requests.put(self.heads[event.stream_id])
            self.upstream.play(self, event.stream_id, self.heads[event.stream_id])

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def head(self, stream, *fields, end=False):
        self.h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc"),
                                      *fields], end_stream=end)

    def message(self, stream, message=b""):
        self.h2.send_data(stream, b"\0" + len(message).to_bytes(4, "big") + message)

    def trailers(self, stream, *fields):
        self.h2.send_headers(stream, list(fields), end_stream=True)

    def answer(self, stream, message=b"", label=""):
        self.head(stream, ("x-label", label))
        self.message(stream, message)
        self.trailers(stream, ("grpc-status", "0"))

    def reset(self, stream, code):
        self.h2.reset_stream(stream, code)

    def goodbye(self, last):
        """GOAWAY; h2 itself would take no more frames after it, so it is put by hand."""
        payload = last.to_bytes(4, "big") + (0).to_bytes(4, "big")
        self.flush()
        self.socket.sendall(b"\0\0\x08\x07\0\0\0\0\0" + payload)
