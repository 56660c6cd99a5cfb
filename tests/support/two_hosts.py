"""Hosts of a network of their own: network namespaces with an address each, reached over a cable that can be cut.

Needs root and iproute2. Servers of this machine that listen on its loopback address alone are reached over a relay.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit


class NoNamespaces(Exception):
    """This machine lets nobody, or not this user, make network namespaces."""


@dataclass(frozen=True)
class Host:
    """A namespace, and the address under which it sees this machine."""

    name: str
    cable: str
    gateway: str

    def command(self, *arguments: str) -> list[str]:
        """Return what runs a command there."""
        return ["ip", "netns", "exec", self.name, *arguments]

    def cut(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self.cable, "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("link", "set", self.cable, "up")

    @contextmanager
    def relayed(self, url: str) -> Iterator[str]:
        """Give the URL under which the host reaches a server of this machine."""
        asked = urlsplit(url)
        assert asked.hostname and asked.port
        with Relay(self.gateway, (asked.hostname, asked.port)) as port:
            user, at, _ = asked.netloc.rpartition("@")
            yield asked._replace(netloc=f"{user}{at}{self.gateway}:{port}").geturl()


@contextmanager
def hosts(numbers: Sequence[int], prefix: str) -> Iterator[list[Host]]:
    """Make hosts and remove them. Raises NoNamespaces."""
    if shutil.which("ip") is None:
        raise NoNamespaces("there is no `ip` on this machine: install iproute2")
    made: list[Host] = []
    try:
        for number in numbers:
            made.append(_host(f"{prefix}{number}", f"10.231.{number}"))
        yield made
    finally:
        for host in made:
            with contextlib.suppress(NoNamespaces):
                _ip("netns", "del", host.name)


def _host(name: str, network: str) -> Host:
    _ip("netns", "add", name)
    _ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
    _ip("addr", "add", f"{network}.1/24", "dev", f"{name}a")
    _ip("link", "set", f"{name}a", "up")
    for arguments in (["addr", "add", f"{network}.2/24", "dev", f"{name}b"], ["link", "set", f"{name}b", "up"]):
        _ip("-n", name, *arguments)
    _ip("-n", name, "link", "set", "lo", "up")
    return Host(name, f"{name}a", f"{network}.1")


def _ip(*arguments: str) -> None:
    told = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if told.returncode != 0:
        raise NoNamespaces(f"`ip {' '.join(arguments)}` says: {told.stderr.strip()}")


class Relay:
    """Listens on an address and passes on what comes."""

    def __init__(self, address: str, to: tuple[str, int]) -> None:
        self._to = to
        self._listening = socket.create_server((address, 0))
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> int:
        """Return its port."""
        port: int = self._listening.getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        for each in [self._listening, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                came, _ = self._listening.accept()
                there = socket.create_connection(self._to)
                self._sockets += [came, there]
                for pair in ((came, there), (there, came)):
                    threading.Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
