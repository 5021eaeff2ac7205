"""A server between an uploader and MLflow's, which fails in the ways that servers fail."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_HOPS = {"connection", "transfer-encoding", "keep-alive", "content-length", "server", "date"}


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a port of this machine; `mode` says what it does instead.

    slow (answers half a second late), hang (never answers), fail (status 500), deaf (passes on and
    drops the answer, so that the client does not know what was done).
    """

    daemon_threads = True

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.mode = target, "pass"
        self.requests = 0
        self.released = threading.Event()

    @property
    def uri(self) -> str:
        """The address of this server."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def _handle(self) -> None:
        self.server.requests += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        mode = self.server.mode
        if mode == "hang":
            self.server.released.wait(60)
            return
        if mode == "fail":
            self._answer(500, {}, b"<h1>Internal Server Error</h1>")
            return
        if mode == "slow":
            time.sleep(0.5)
        status, headers, content = self._passed_on(body)
        if mode == "deaf":
            self.connection.close()
            return
        self._answer(status, headers, content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815  # the library's names

    def _passed_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        sent = {k: v for k, v in self.headers.items() if k.lower() not in _HOPS | {"host"}}
        connection.request(self.command, self.path, body, sent)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOPS}
        return answer.status, kept, content

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """Serve meanwhile."""
    server = Proxy(target)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
