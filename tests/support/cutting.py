"""A connection that breaks: everything passes between a client and a server, until so many bytes went by."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

BLOCK_BYTES = 2**18
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER so that closing sends RST: nothing more is told to the other side."""


class Cutter:
    """Listens on a port of its own and passes on to a server; cuts as it was told, then no more."""

    def __init__(self, url: str, cuts: Sequence[int]) -> None:
        """`cuts` are counts of bytes from client to server, over all connections."""
        host, port = url.removeprefix("http://").split(":")
        self._server = (host, int(port))
        self._cuts = sorted(cuts)
        self._passed = 0
        self.done = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            back = threading.Thread(target=self._back, args=(server, client), daemon=True)
            back.start()
            self._forth(client, server)
            back.join()

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what the client sends, up to the next cut."""
        with contextlib.suppress(OSError):
            while block := client.recv(BLOCK_BYTES):
                until = self._cuts[0] - self._passed if self._cuts else len(block)
                server.sendall(block[:until])
                self._passed += len(block[:until])
                if until < len(block):
                    self._cuts.pop(0)
                    self.done += 1
                    for end in (client, server):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        end.shutdown(socket.SHUT_RDWR)
                    return
            server.shutdown(socket.SHUT_WR)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := server.recv(BLOCK_BYTES):
                client.sendall(block)
            client.shutdown(socket.SHUT_WR)


@contextmanager
def cutting(url: str, cuts: Sequence[int]) -> Iterator[Cutter]:
    """Give one, and close it."""
    cutter = Cutter(url, cuts)
    try:
        yield cutter
    finally:
        cutter.close()
