"""Where a webhook may go: to public addresses, and exactly to the one that was checked.

    url ── parse ──▶ Target ── look the host up, once ──▶ every address allowed? ──▶ connect to one of these

Whoever may name a URL could else make the service ask what only the service reaches: itself, its neighbours, a cloud's
metadata. A name that is checked and then looked up again may lead elsewhere the second time, so the connection goes to
an address, and the name stays for TLS and Host alone. A URL that two parsers could read differently is refused.

What is public: an address of the internet that no registry sets apart (IANA's special-purpose registries). Python's
`is_global` alone lets through multicast, 192.0.0.192, 6to4, NAT64 and a cloud's 168.63.129.16.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple
from urllib.parse import urlsplit

import httpcore2

from app.settings import Settings

Address = IPv4Address | IPv6Address
Lookup = Callable[[str], list[str]]
"""All addresses of a host name."""
Connect = Callable[[str, int, float], httpcore2.NetworkStream]
"""Opens a connection to an address and a port, within so many seconds."""

MAX_URL = 2000
TRIED_ADDRESSES = 4
DEFAULT_PORTS = {"http": 80, "https": 443}
PLAIN = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII but for the backslash, which some read as a slash."""
PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
LOOKS_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A host whose last label is so is an IPv4 address to browsers and libraries, however it is written."""
LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa")

SPECIAL_V4 = tuple(
    IPv4Network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # a cloud's own services, on an address that looks public
    )
)
UNICAST_V6 = IPv6Network("2000::/3")
SPECIAL_V6 = tuple(
    IPv6Network(each)
    # Protocol assignments with Teredo, documentation, 6to4 (nobody serves there any more), documentation.
    for each in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48")
)
NAT64 = IPv6Network("64:ff9b::/96")
"""How a network of IPv6 alone reaches the IPv4 address in the last four bytes (RFC 6052)."""
WRAPPING_V6 = (NAT64, IPv6Network("64:ff9b:1::/48"), IPv6Network("::/96"))
NEVER = tuple(
    ipaddress.ip_network(each)
    for each in (
        *("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/128", "fe80::/10", "ff00::/8"),
        # Metadata of clouds, which hands out their keys.
        *("168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128", "fd20:ce::254/128"),
    )
)
"""Not even in an intranet."""


class NotAllowed(Exception):
    """A webhook may not go there; the message says why, but not what stands there."""


@dataclass(frozen=True)
class Rules:
    """What this deployment allows."""

    ports: tuple[int, ...] = (443,)
    http: bool = False
    private: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Read them from the settings."""
        return cls(settings.webhook_ports, settings.webhook_allow_http, settings.webhook_allow_private)


class Target(NamedTuple):
    """A URL, read once."""

    scheme: str
    host: str
    """A name in lower case, or an address without brackets."""
    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if DEFAULT_PORTS[self.scheme] == self.port else f"{host}:{self.port}"


def parse(url: str, rules: Rules) -> Target:
    """Read a URL, and check all of it that can be without asking the network. Raises NotAllowed."""
    if len(url) > MAX_URL:
        raise NotAllowed(f"the URL is longer than {MAX_URL} characters")
    if not PLAIN.fullmatch(url):
        raise NotAllowed("a URL is ASCII without spaces or backslashes; a name in other letters is written xn--...")
    try:
        scheme, place, path, query, fragment = urlsplit(url)
    except ValueError as error:
        raise NotAllowed("the URL names no host that can be read") from error
    if scheme not in DEFAULT_PORTS or (scheme == "http" and not rules.http):
        raise NotAllowed("the URL must begin with https://" + (" or http://" if rules.http else ""))
    if "@" in place:
        raise NotAllowed("a URL with a user or password in it is not taken; the signature says who sends")
    if fragment or url.endswith("#"):
        raise NotAllowed("the part after # would never be sent; leave it out")
    found = PLACE.fullmatch(place)
    if not found:
        raise NotAllowed("the URL names no host that can be read: a name, an IPv4 address or an [IPv6 address]")
    port = int(found["port"] or DEFAULT_PORTS[scheme])
    if port not in rules.ports:
        raise NotAllowed(f"port {port} is not allowed; these are: {', '.join(map(str, rules.ports))}")
    host = _host(found["host"].lower(), rules)
    return Target(scheme, host, port, (path or "/") + (f"?{query}" if query else ""))


def addresses(target: Target, rules: Rules, lookup: Lookup | None = None) -> list[Address]:
    """Return the addresses of a host, every one of them allowed; it is looked up once. Raises NotAllowed."""
    literal = _literal(target.host)
    found = [literal] if literal else [ipaddress.ip_address(each) for each in (lookup or look_up)(target.host)]
    if not found:
        raise NotAllowed("the host has no address")
    if not all(is_allowed(each, private=rules.private) for each in found):
        raise NotAllowed("the host has an address that is not public")
    return found


def look_up(host: str) -> list[str]:
    """Ask the system's resolver for all addresses of a name. Raises NotAllowed where it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotAllowed("the host's name leads to no address") from error
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def is_allowed(address: Address, *, private: bool = False) -> bool:
    """Whether a webhook may go to an address; in an intranet, `private`, to its own ones too."""
    if private:
        return not any(_within(each, NEVER) for each in (address, *_wrapped(address)))
    if isinstance(address, IPv4Address):
        return address.is_global and not _within(address, SPECIAL_V4)
    if address.ipv4_mapped or address in NAT64:  # these are only another way to write it
        return all(is_allowed(each) for each in _wrapped(address))
    return address.is_global and address in UNICAST_V6 and not _within(address, SPECIAL_V6)


class Pinned(httpcore2.NetworkBackend):
    """How an HTTP client reaches one target and nothing else, and is done by a deadline."""

    def __init__(
        self,
        target: Target,
        rules: Rules,
        seconds: float,
        lookup: Lookup | None = None,
        connect: Connect | None = None,
    ) -> None:
        self._target, self._rules = target, rules
        self._lookup, self._connect = lookup, connect or _connect
        self._until = time.monotonic() + seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to an address that was checked; the next is tried where one does not answer. Raises NotAllowed."""
        assert (host, port) == (self._target.host, self._target.port), "one target"
        failed: Exception = NotAllowed("the host has no address")
        for address in addresses(self._target, self._rules, self._lookup)[:TRIED_ADDRESSES]:
            try:
                return _Limited(self._connect(str(address), port, _left(self._until)), self._until)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed


class _Limited(httpcore2.NetworkStream):
    """A connection that is cut at a time, however slowly its other end goes on."""

    def __init__(self, inner: httpcore2.NetworkStream, until: float) -> None:
        self._inner, self._until = inner, until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        return self._inner.read(max_bytes, _left(self._until))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        self._inner.write(buffer, _left(self._until))

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Go on under TLS."""
        return _Limited(self._inner.start_tls(ssl_context, server_hostname, _left(self._until)), self._until)

    def get_extra_info(self, info: str) -> object:
        """Say what the connection says."""
        return self._inner.get_extra_info(info)


def _left(until: float) -> float:
    """Return the seconds that are left. Raises ReadTimeout where none are."""
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("out of time")
    return left


def _connect(address: str, port: int, seconds: float) -> httpcore2.NetworkStream:
    return httpcore2.SyncBackend().connect_tcp(address, port, seconds)


def _host(host: str, rules: Rules) -> str:
    """Return a host as it is used. Raises NotAllowed for odd ones, and for addresses that are not allowed."""
    bracketed = host.startswith("[")
    literal = _literal(host.strip("[]"))
    if literal and bracketed == (literal.version == 6):
        if not is_allowed(literal, private=rules.private):
            raise NotAllowed("the URL names an address that is not public")
        return str(literal)
    labels = host.split(".")
    if bracketed or LOOKS_NUMERIC.fullmatch(labels[-1]):
        raise NotAllowed("the address cannot be read; an IPv4 address is four decimal numbers without leading zeros")
    if len(host) > 253 or not all(LABEL.fullmatch(each) for each in labels):
        raise NotAllowed("the URL names no host that can be")
    local = len(labels) == 1 or any(host == name or host.endswith(f".{name}") for name in LOCAL_NAMES)
    if local and not rules.private:
        raise NotAllowed("the host's name is a local one; a webhook goes to public addresses")
    return host


def _literal(host: str) -> Address | None:
    """Return the address that a host is, if it is one as it is written today: no octal, no hex, no short forms."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _wrapped(address: Address) -> list[IPv4Address]:
    """Return the IPv4 addresses inside an IPv6 one: mapped, compatible, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if int(address) > 1 and _within(address, WRAPPING_V6):  # :: and ::1 wrap nothing
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]


def _within(address: Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in each for each in networks)
