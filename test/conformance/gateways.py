# SPDX-License-Identifier: Apache-2.0
"""The programs under test, each in front of one service, with /admin denied.

The peers are configured as their manuals advise for a reverse proxy that keeps its connections to
the service. Where they have a directive for what a case asks, it is used (ProxyVia, say); no
fields are put together by hand."""
import contextlib
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

from support.daemon import Daemon

ROOT = pathlib.Path(__file__).resolve().parents[2]

NGINX = """\
daemon off;
user www-data;
pid {directory}/pid;
error_log {directory}/error.log;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  upstream service {{ server {service}; keepalive 16; }}
  server {{
    listen {address};
    server_name localhost;
    location = /admin {{ return 403; }}
    location ^~ /admin/ {{ return 403; }}
    location / {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }}
  }}
}}
"""

HAPROXY = """\
global
  nbthread 1
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend edge
  bind {address}
  http-request deny if {{ path /admin }} or {{ path_beg /admin/ }}
  default_backend service
backend service
  server one {service}
"""

APACHE = """\
ServerRoot {directory}
ServerName localhost
Listen {address}
PidFile {directory}/pid
DefaultRuntimeDir {directory}
ErrorLog {directory}/error.log
User www-data
Group www-data
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
StartServers 1
KeepAlive On
ProxyRequests Off
ProxyPreserveHost On
ProxyVia On
ProxyPass "/" "http://{service}/" retry=0
<Location "/admin">
  Require all denied
</Location>
"""

SARSEN = """\
routes:
  - match: {{ prefix: /admin }}
    answer: {{ status: 403 }}
  - match: {{ prefix: / }}
    upstream: {service}
"""


class Sarsen:
    name = "Sarsen"

    def __init__(self, service, binary=None):
        binary = binary or ROOT / "build/release/src/daemon/sarsen"
        self.directory = tempfile.TemporaryDirectory()
        # A busy machine sends byte by byte more slowly than a client may.
        self.daemon = Daemon(binary, self.directory.name, SARSEN.format(service=service),
                             "  limits: { body_rate: 64 }\n")
        self.daemon.start()
        self.address = self.daemon.edge

    def stop(self):
        self.daemon.stop()
        self.daemon.check_log()
        self.directory.cleanup()

    @staticmethod
    def version():
        """The last commit that changed the program."""
        said = subprocess.run(["git", "log", "-1", "--format=%h", "--", "src"], cwd=ROOT,
                              capture_output=True, text=True, check=True)
        return said.stdout.strip()


class Peer:
    """A program of Debian's, in the foreground, with its files in a directory of its own."""

    def __init__(self, service):
        self.directory = tempfile.TemporaryDirectory()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        config = pathlib.Path(self.directory.name) / "config"
        config.write_text(self.config.format(
            directory=self.directory.name, address=self.address, service=service,
            modules="/usr/lib/apache2/modules"))
        pathlib.Path(self.directory.name).chmod(0o755)
        self.process = subprocess.Popen([*self.command, str(config)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        host, port = self.address.split(":")
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), 1).close()
                return
            assert self.process.poll() is None and time.monotonic() < end, f"{self.name} is not up"
            time.sleep(0.05)

    def stop(self):
        self.process.send_signal(self.ending)
        self.process.wait(20)
        self.directory.cleanup()

    ending = signal.SIGTERM

    @classmethod
    def version(cls):
        said = subprocess.run([cls.command[0], "-v"], capture_output=True, text=True, check=False)
        return re.search(r"[\d.]+\d[\w.+~-]*", said.stdout + said.stderr)[0]


class Nginx(Peer):
    name, config, command = "nginx", NGINX, ["/usr/sbin/nginx", "-c"]


class Haproxy(Peer):
    name, config, command = "HAProxy", HAPROXY, ["/usr/sbin/haproxy", "-f"]


class Apache(Peer):
    name, config, command = "Apache", APACHE, ["/usr/sbin/apache2", "-DFOREGROUND", "-f"]


ALL = [Sarsen, Nginx, Haproxy, Apache]
