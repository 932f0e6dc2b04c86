# SPDX-License-Identifier: Apache-2.0
"""A real HTTP service that answers what a test tells it to and records what reached it."""
import http.server
import json
import threading


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # of a full one a connection takes a second, and attacks make many


class Service:
    """Answers every request with its name and what it saw, unless `answer` is given:
    answer(request) -> (status, headers, body)."""

    def __init__(self, name="service", answer=None):
        self.name = name
        self.answer = answer
        self.requests = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two writes

            def handle_any(self):
                service._serve(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = handle_any

            def log_message(self, format, *arguments):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def _serve(self, handler):
        body = b""
        if handler.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(handler.rfile.readline(), 16):
                body += handler.rfile.read(size)
                handler.rfile.readline()
            handler.rfile.readline()
        else:
            body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = {"method": handler.command, "path": handler.path,
                   "headers": handler.headers.items(), "body": body}
        self.requests.append(request)
        status, headers, content = (self.answer or self._echo)(request)
        handler.send_response(status)
        for name, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                handler.send_header(name, one)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(content)

    def _echo(self, request):
        seen = {"service": self.name, "method": request["method"], "path": request["path"],
                "headers": {name.lower(): value for name, value in request["headers"]},
                "body": request["body"].decode("latin-1")}
        return 200, {"Content-Type": "application/json"}, json.dumps(seen).encode()

    def header(self, name, index=-1):
        """The values of a header in a request that reached it."""
        return [value for key, value in self.requests[index]["headers"]
                if key.lower() == name.lower()]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
