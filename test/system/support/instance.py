# SPDX-License-Identifier: Apache-2.0
"""A service in a process of its own, for tests that kill one. Run as a program it is that service:
it answers every request with its name."""
import asyncio
import subprocess
import sys


class Instance:
    def __init__(self, name):
        self.name = name
        self.process = subprocess.Popen([sys.executable, __file__, name], stdout=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, text=True)
        self.address = self.process.stdout.readline().strip()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        if self.process.poll() is None:
            self.kill()


async def serve(reader, writer, body):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    body = sys.argv[1].encode()
    server = await asyncio.start_server(lambda reader, writer: serve(reader, writer, body),
                                        "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
