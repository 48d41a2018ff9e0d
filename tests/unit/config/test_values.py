"""Texts of option values, accepted and refused."""

from __future__ import annotations

import pytest

from shmflink.config import values


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("10 s", 10_000), ("3min", 180_000), ("100", 100), ("200 ms", 200), ("1 h", 3_600_000), ("0", 0), ("5 us", 1)],
)
def test_durations(text, milliseconds):
    assert values.parse_duration_ms(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("64mb", 64 << 20), ("256 kb", 256 << 10), ("1 gb", 1 << 30), ("1024", 1024), ("7 bytes", 7), ("2 TB", 2 << 40)],
)
def test_sizes(text, size):
    assert values.parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "s", "-1 s", "1.5 s", "10 fortnights", "ten"])
def test_refused_durations(text):
    with pytest.raises(ValueError, match=r"expected|unknown unit"):
        values.parse_duration_ms(text)


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1000, 90_000, 3_600_000, 86_400_000])
def test_durations_are_written_as_they_are_read(milliseconds):
    assert values.parse_duration_ms(values.format_duration_ms(milliseconds)) == milliseconds


@pytest.mark.parametrize("size", [1, 1000, 1024, 256 << 10, 3 << 30])
def test_sizes_are_written_as_they_are_read(size):
    assert values.parse_bytes(values.format_bytes(size)) == size


def test_lists():
    assert values.parse_list("a;b; c") == ["a", "b", "c"]
    assert values.parse_list("[a, 'b']") == ["a", "b"]
    assert values.parse_list("") == []


def test_maps():
    assert values.parse_map("a:1, b:x:y") == {"a": "1", "b": "x:y"}
    assert values.parse_map('{"a": 1, "b": "x"}') == {"a": "1", "b": "x"}
    with pytest.raises(ValueError, match="key1:value1"):
        values.parse_map("a")


def test_booleans():
    assert values.parse_bool(" TRUE ") is True
    with pytest.raises(ValueError, match="true or false"):
        values.parse_bool("yes")
