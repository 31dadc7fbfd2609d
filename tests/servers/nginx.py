"""A real nginx on loopback that answers like a function, and counts what it served."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import urlopen

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

_CONF = """
worker_processes 1;
{cpu_affinity}
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 18000; }}
http {{
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  log_format line '$status';
  keepalive_requests 100000000; keepalive_timeout 1d; client_body_buffer_size 16k;
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    {tls_listen}
    access_log {access_log};
    location = /status {{ access_log off; stub_status; }}
    location / {{
      {pieces}
      default_type application/json;
      add_header X-Cff-Invoke-Summary
        '{{"duration":0.013,"billingDuration":1,"memorySize":128,"memoryUsed":41.51171875}}';
      add_header X-Cff-Request-Id '1cbe80f3-3c65-475e-ad88-76ac518d386a';
      add_header X-CFF-Billing-Duration '1';
      add_header X-Func-Err-Code '0';
      add_header X-Is-Func-Err 'false';
      return 200 '{body}';
    }}
  }}
}}
"""

_HELLO = '{"message": "hello world from FunctionStage"}'
_PIECE = 1024  # a word of the configuration has at most 4 KiB


class Nginx:
    """An nginx in its own directory, serving while the context is open.

    ``cpu`` pins its worker; ``log`` keeps a line per request, so that requests can be counted apart. ``tls_options``
    are more directives of the server. ``body_bytes`` is the size of the answers' bodies, a JSON string; None for a
    short greeting.
    """

    def __init__(
        self,
        directory: Path,
        port: int,
        *,
        tls_port: int | None = None,
        certificate: tuple[Path, Path] | None = None,
        cpu: int | None = None,
        log: bool = False,
        tls_options: str = "",
        body_bytes: int | None = None,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.tls_url = f"https://localhost:{tls_port}"
        self._log = directory / "access.log"
        tls_listen = ""
        if tls_port is not None and certificate is not None:
            cert, key = certificate
            tls_listen = (
                f"listen 127.0.0.1:{tls_port} ssl backlog=8192; ssl_certificate {cert}; ssl_certificate_key {key};"
                f"{tls_options}"
            )
        pieces, body = ("", _HELLO) if body_bytes is None else _body(body_bytes)
        directory.mkdir(parents=True, exist_ok=True)
        conf = directory / "nginx.conf"
        conf.write_text(
            _CONF.format(
                directory=directory,
                port=port,
                tls_listen=tls_listen,
                pieces=pieces,
                body=body,
                access_log=f"{self._log} line" if log else "off",
                cpu_affinity="" if cpu is None else f"worker_cpu_affinity {1 << cpu:b};",
            )
        )
        assert NGINX is not None
        self._command = [NGINX, "-p", str(directory), "-c", str(conf)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"})
        for _ in range(200):
            try:
                self.served()
            except OSError:
                if self._process.poll() is not None:
                    assert self._process.stderr is not None
                    raise RuntimeError(f"nginx ended: {self._process.stderr.read().decode()}") from None
                time.sleep(0.02)
            else:
                return self
        raise RuntimeError("nginx did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stderr is not None
        self._process.stderr.close()

    @property
    def pid(self) -> int:
        """The process whose child serves."""
        return self._process.pid

    def served(self) -> int:
        """Requests served so far by nginx's own count, this question included."""
        with urlopen(f"{self.url}/status", timeout=5) as answer:
            text = answer.read().decode()
        return int(text.splitlines()[2].split()[2])

    def logged(self) -> int:
        """Lines of the access log: requests served but for questions about the status."""
        return len(self._log.read_text().splitlines())


def _body(size: int) -> tuple[str, str]:
    """What sets the variables of a body of this many bytes, and the body in their terms."""
    whole, rest = divmod(size - 2, _PIECE)
    sets = [f"set $x '{'x' * _PIECE}';", "set $many '';"]
    sets += ["set $many '${many}" + "${x}" * 16 + "';"] * (whole // 16)
    return "\n      ".join(sets), '"${many}' + "${x}" * (whole % 16) + "x" * rest + '"'
