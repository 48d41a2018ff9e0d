"""Digests, URLs, addresses."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
import pytest

from shmflink.errors import TypeMismatchError
from shmflink.expressions import Expression, bind, col

A = col("a")


def values(expression: Expression, given: Any) -> list[Any]:
    batch = pa.record_batch({"a": pa.array(given)})
    return bind([expression], batch.schema).evaluate(batch)[0].to_pylist()


@pytest.mark.parametrize("name", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
def test_digests(name: str) -> None:
    texts = ["", "abc", "é" * 1000]
    expected = [hashlib.new(name, text.encode()).hexdigest() for text in texts]
    assert values(getattr(A, name), [*texts, None]) == [*expected, None]
    assert values(getattr(A, name), [text.encode() for text in texts]) == expected


def test_sha2_takes_its_length() -> None:
    assert values(A.sha2(384), ["x"]) == [hashlib.sha384(b"x").hexdigest()]
    with pytest.raises(TypeMismatchError, match="224, 256, 384 or 512"):
        A.sha2(1)
    with pytest.raises(TypeMismatchError, match="strings or bytes"):
        values(A.md5, [1])


URL = "https://user:pw@host.example:8080/path/p.html?q=1&r=a%20b&q=2#frag"


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("PROTOCOL", "https"),
        ("AUTHORITY", "user:pw@host.example:8080"),
        ("USERINFO", "user:pw"),
        ("HOST", "host.example"),
        ("PATH", "/path/p.html"),
        ("FILE", "/path/p.html?q=1&r=a%20b&q=2"),
        ("QUERY", "q=1&r=a%20b&q=2"),
        ("REF", "frag"),
    ],
)
def test_parts_of_urls(part: str, text: str) -> None:
    assert values(A.parse_url(part), [URL, None, "no url"]) == [text, None, None]


def test_keys_of_queries() -> None:
    assert values(A.parse_url("QUERY", "q"), [URL, "http://h"]) == ["1", None]
    assert values(A.parse_url("HOST"), ["http://[::1]:80/"]) == ["[::1]"]
    assert values(A.parse_url("PORT"), [URL]) == [None]
    with pytest.raises(TypeMismatchError, match="takes one of PROTOCOL"):
        A.parse_url(1)
    with pytest.raises(TypeMismatchError, match="only QUERY has keys"):
        A.parse_url("HOST", "k")


def test_broken_escapes_are_null() -> None:
    assert values(A.url_decode(), ["%zz", "%e", "%ff", "a%20b+c"]) == [None, None, None, "a b c"]


def test_addresses() -> None:
    assert values(A.inet_aton(), ["1.2.3.4", "1", "1.2", "1.2.3", "1.2.3.256", "a", "", "1..2", "1.2.3.4.5"]) == [
        16909060, 1, 16777218, 16908291, None, None, None, None, None,
    ]  # fmt: skip
    assert values(A.inet_ntoa(), [16909060, 2**32 - 1, 2**32, -1]) == ["1.2.3.4", "255.255.255.255", None, None]
