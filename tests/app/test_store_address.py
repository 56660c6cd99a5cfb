"""Addresses of object stores: what is right is taken apart, what is wrong is told without a secret in it."""

from __future__ import annotations

import pytest

from app.store_address import Place, check_endpoint, parse


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://bucket", Place("bucket", "", None, None)),
        ("s3://bucket/", Place("bucket", "", None, None)),
        ("s3://my-bucket.1/deep/prefix/", Place("my-bucket.1", "deep/prefix", None, None)),
    ],
)
def test_an_address_names_a_bucket_and_a_prefix(url: str, place: Place):
    assert parse(url, None, None) == place


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("bucket/prefix", "it looks like s3://bucket/prefix"),
        ("https://bucket", "it looks like s3://bucket/prefix"),
        ("s3://bucket?region=x", "it looks like s3://bucket/prefix"),
        ("s3://", "is no name of a bucket"),
        ("s3://ab/prefix", "3 to 63 letters, digits, dots and hyphens"),
        ("s3://key:pa55@bucket", "credentials do not belong into the address"),
    ],
)
def test_an_address_that_is_none_is_refused_with_what_would_be_right(url: str, told: str):
    with pytest.raises(ValueError, match=told) as caught:
        parse(url, None, None)
    assert "pa55" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["s3.example.org", "ftp://s3.example.org", "https://", "https://a:pa55@b"])
def test_an_endpoint_that_is_none_is_refused(endpoint: str):
    with pytest.raises(ValueError, match=r"no address of an object store|credentials do not belong") as caught:
        check_endpoint(endpoint)
    assert "pa55" not in str(caught.value)


def test_an_endpoint_is_taken_without_a_slash_at_its_end():
    assert check_endpoint("http://store:9000/") == "http://store:9000"


def test_a_place_is_shown_as_people_write_it():
    shown = [str(Place("b", *rest, None)) for rest in (("", None), ("p/q", None), ("p", "http://store:9000"))]
    assert shown == ["s3://b", "s3://b/p/q", "s3://b/p at http://store:9000"]
