"""Where a webhook may go."""

from __future__ import annotations

from ipaddress import ip_address

import httpcore2
import pytest
from hostile_urls import RESOLVED, WRITTEN
from receiver import PUBLIC, Names, Wire

from app.public_address import NotAllowed, Pinned, Rules, Target, addresses, is_allowed, look_up, parse

RULES = Rules(ports=(443, 8443))
TARGET = Target("https", "hooks.example.com", 443, "/x")


@pytest.mark.parametrize("url", WRITTEN.values(), ids=WRITTEN)
def test_what_is_not_public_by_how_it_is_written_is_refused_without_asking_the_network(url):
    with pytest.raises(NotAllowed):
        parse(url, RULES)


@pytest.mark.parametrize(("url", "found"), RESOLVED.values(), ids=RESOLVED)
def test_what_is_not_public_by_where_it_leads_is_refused_before_a_connection(url, found):
    names, wire = Names(found), Wire()
    target = parse(url, RULES)
    with pytest.raises(NotAllowed):
        Pinned(target, RULES, 10, names, wire).connect_tcp(target.host, target.port)
    assert (names.asked, wire.reached) == ([target.host], [])


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("https://hooks.example.com", ("https", "hooks.example.com", 443, "/"), "hooks.example.com"),
        (
            "https://Hooks.Example.com:8443/a?b=c",
            ("https", "hooks.example.com", 8443, "/a?b=c"),
            "hooks.example.com:8443",
        ),
        ("HTTPS://a.b.example?x", ("https", "a.b.example", 443, "/?x"), "a.b.example"),
        (
            "https://xn--exmple-cua.com/é".replace("é", "%C3%A9"),
            ("https", "xn--exmple-cua.com", 443, "/%C3%A9"),
            "xn--exmple-cua.com",
        ),
        ("https://93.184.215.14/x", ("https", "93.184.215.14", 443, "/x"), "93.184.215.14"),
        ("https://[2606:2800:21F::1]:8443/x", ("https", "2606:2800:21f::1", 8443, "/x"), "[2606:2800:21f::1]:8443"),
        ("https://a_b-c.example/x/../y;z@w", ("https", "a_b-c.example", 443, "/x/../y;z@w"), "a_b-c.example"),
    ],
)
def test_a_public_url_is_read_as_it_is_sent(url, target, authority):
    assert (parse(url, RULES), parse(url, RULES).authority) == (target, authority)


@pytest.mark.parametrize(
    ("address", "public", "in_an_intranet"),
    [
        (PUBLIC, True, True),
        ("2606:2800:21f::1", True, True),
        ("::ffff:93.184.215.14", True, True),  # the same as without the prefix
        ("64:ff9b::5db8:d70e", True, True),  # what a network of IPv6 alone calls it
        ("10.0.0.1", False, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("fd12::1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("100.64.0.1", False, True),
        ("169.254.169.254", False, False),  # metadata hands out keys, in an intranet too
        ("::ffff:169.254.169.254", False, False),
        ("2002:a9fe:a9fe::", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("100.100.100.200", False, False),
        ("168.63.129.16", False, False),
        ("fd00:ec2::254", False, False),
        ("fe80::1%eth0", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("ff02::1", False, False),
        ("255.255.255.255", False, False),
    ],
)
def test_addresses_are_public_or_an_intranets_own_or_nobodys(address, public, in_an_intranet):
    allowed = [is_allowed(ip_address(address), private=private) for private in (False, True)]
    assert allowed == [public, in_an_intranet]


def test_the_connection_goes_to_the_address_that_was_checked_and_the_name_is_looked_up_once():
    names, wire = Names([PUBLIC], ["127.0.0.1"]), Wire()
    with pytest.raises(httpcore2.ConnectError):
        Pinned(TARGET, RULES, 10, names, wire).connect_tcp("hooks.example.com", 443)
    assert (names.asked, wire.reached) == (["hooks.example.com"], [(PUBLIC, 443)])


def test_where_one_address_does_not_answer_the_next_is_tried_but_not_hundreds():
    found = [f"93.184.215.{last}" for last in range(1, 101)]
    wire = Wire()
    with pytest.raises(httpcore2.ConnectError):
        Pinned(TARGET, RULES, 10, Names(found), wire).connect_tcp("hooks.example.com", 443)
    assert wire.reached == [(each, 443) for each in found[:4]]


def test_an_address_is_not_looked_up():
    names = Names()
    assert addresses(Target("https", PUBLIC, 443, "/"), RULES, names) == [ip_address(PUBLIC)]
    assert names.asked == []


def test_an_intranet_allows_what_is_said_in_its_settings():
    rules = Rules(ports=(80, 9000), http=True, private=True)
    assert parse("http://intranet:9000/x", rules) == ("http", "intranet", 9000, "/x")
    assert parse("http://[fd12::1]/x", rules).host == "fd12::1"
    assert addresses(parse("http://build.corp.internal/x", rules), rules, Names(["10.0.0.1"])) == [
        ip_address("10.0.0.1")
    ]
    for never in ("http://169.254.169.254/x", "https://intranet:443/x", "http://u:p@intranet/x", "http://0/x"):
        with pytest.raises(NotAllowed):
            parse(never, rules)


def test_a_name_that_leads_nowhere_is_told_as_such():
    with pytest.raises(NotAllowed, match="leads to no address"):
        look_up("a" * 64 + ".example")  # refused by the resolver itself, without asking the network


def test_this_machines_own_name_is_found_by_the_resolver_and_refused():
    with pytest.raises(NotAllowed, match="not public"):
        addresses(Target("https", "localhost", 443, "/"), RULES)
