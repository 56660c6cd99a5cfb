"""A door before a server: while it is shut nobody gets in, and who was in is thrown out."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit

BLOCK_BYTES = 2**18


class Gate:
    """Listens on a port of its own, which stays the same, and passes on to a server."""

    def __init__(self, url: str) -> None:
        server = urlsplit(url)
        self._server = (str(server.hostname), int(server.port or 80))
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._address = self._listener.getsockname()
        self.url = f"http://127.0.0.1:{self._address[1]}"
        self.connections = 0
        self._listen(self._listener)

    def shut(self) -> None:
        """Refuse whoever comes, and end what is open."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in [*self._open]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """Let in again."""
        self._listener = socket.create_server(self._address)
        self._listen(self._listener)

    def _listen(self, listener: socket.socket) -> None:
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._server) as server:
            ends = {client, server}
            self._open |= ends
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            _pass_on(client, server)
            back.join()
            self._open -= ends


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(BLOCK_BYTES):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
