"""What webhooks meet in tests: a receiver on loopback, names that lead anywhere, a wire that counts."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpcore2

TLS = Path(__file__).parent / "tls"
"""A certificate for hooks.example.com, and the authority that made it: for a hundred years, and for tests alone."""
PUBLIC = "93.184.215.14"


class Receiver:
    """Answers as it is told to, and remembers what it was sent."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        """The next ones; then 204."""
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.names: list[str | None] = []
        """What TLS clients called it."""
        self.endless = False
        """Whether the answer's body never ends."""
        self.silent = 0
        """How many of the next requests are read and not answered, until `speak` is set."""
        self.speak = threading.Event()
        self.port = 0


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        if self.receiver.silent:
            self.receiver.silent -= 1
            self.receiver.speak.wait()
        status, headers = self.receiver.answers.pop(0) if self.receiver.answers else (204, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        while self.receiver.endless:
            self.wfile.write(b"x" * 65536)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass  # the sender hung up, as it should


@contextmanager
def receiving(*, tls: bool = False) -> Iterator[Receiver]:
    """Run a receiver on a free port of this machine."""
    receiver = Receiver()
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"receiver": receiver})) as server:
        receiver.port = server.server_address[1]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(TLS / "hooks.pem")
            context.sni_callback = lambda _socket, name, _context: receiver.names.append(name)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.endless = False
            receiver.speak.set()
            server.shutdown()
            thread.join(10)


def trusting() -> ssl.SSLContext:
    """Return a client's context that trusts the tests' authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(TLS / "ca.pem")
    return context


class Names:
    """A resolver that is told what to say: each list of addresses once, the last for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers) or [[PUBLIC]]
        self.asked: list[str] = []

    def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Wire:
    """Remembers every connection that was to be made, and leads it to the receiver."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port
        self.reached: list[tuple[str, int]] = []
        self.read = 0

    def __call__(self, address: str, port: int, seconds: float) -> httpcore2.NetworkStream:
        self.reached.append((address, port))
        if self.port is None:
            raise httpcore2.ConnectError("nobody is there")
        return _Counted(httpcore2.SyncBackend().connect_tcp("127.0.0.1", self.port, seconds), self)


class _Counted(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream, wire: Wire) -> None:
        self._inner, self._wire = inner, wire
        self.write, self.close, self.get_extra_info = inner.write, inner.close, inner.get_extra_info

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, timeout)
        self._wire.read += len(data)
        return data

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Counted(self._inner.start_tls(ssl_context, server_hostname, timeout), self._wire)


@contextmanager
def dripping() -> Iterator[int]:
    """Run a server that answers one connection a letter at a time, without end; yield its port."""

    def answer(listener: socket.socket) -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
    thread.join(10)
