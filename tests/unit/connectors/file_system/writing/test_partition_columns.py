from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from shmflink.connectors.file_system.writing.partition_columns import (
    Partitions,
    TextOfColumn,
    TextOfTime,
    ValuesOfColumn,
)
from shmflink.errors import ConfigurationError, TypeMismatchError


def split(rows: pa.RecordBatch, *texts: TextOfColumn) -> dict[str, list[int]]:
    """The numbers of the rows in each folder; rows are numbered by the column `n`."""
    partitions = pickle.loads(pickle.dumps(Partitions(texts)))
    numbered = rows.append_column("n", pa.array(range(rows.num_rows)))
    pieces = [(folder, part["n"].to_pylist()) for folder, part in partitions.split(numbered)]
    assert len({folder for folder, _ in pieces}) == len(pieces)
    return dict(pieces)


def folders_of(values: pa.Array) -> list[str]:
    return list(split(pa.record_batch({"k": values}), ValuesOfColumn("k")))


def test_rows_keep_their_order_in_each_folder() -> None:
    rows = pa.record_batch({"k": ["b", "a", "b", None, "a", "b"]})
    assert split(rows, ValuesOfColumn("k")) == {
        "k=b": [0, 2, 5],
        "k=a": [1, 4],
        "k=__HIVE_DEFAULT_PARTITION__": [3],
    }


def test_many_rows_keep_their_order() -> None:
    pieces = split(pa.record_batch({"k": [number % 3 for number in range(10_000)]}), ValuesOfColumn("k"))
    assert pieces == {f"k={key}": list(range(key, 10_000, 3)) for key in range(3)}


def test_folders_in_folders() -> None:
    rows = pa.record_batch({"k": ["a", "b", "a", "a"], "j": [1, 1, 2, 1]})
    assert split(rows, ValuesOfColumn("k"), ValuesOfColumn("j")) == {
        "k=a/j=1": [0, 3],
        "k=a/j=2": [2],
        "k=b/j=1": [1],
    }


def test_one_folder_takes_the_rows_as_they_are() -> None:
    rows = pa.record_batch({"k": ["a", "a"]})
    ((_, part),) = Partitions([ValuesOfColumn("k")]).split(rows)
    assert part is rows


def test_special_characters_cannot_leave_the_folder() -> None:
    values = pa.array(["a/b", "..", "", "100%", "ü x", "a=b", "\n", "'\"", "__HIVE_DEFAULT_PARTITION__"])
    assert folders_of(values) == [
        "k=a%2Fb",
        "k=..",
        "k=",
        "k=100%25",
        "k=ü x",
        "k=a%3Db",
        "k=%0A",
        "k=%27%22",
        "k=__HIVE_DEFAULT_PARTITION__",
    ]
    rows = pa.record_batch({"a/b": ["x"]})
    assert list(split(rows, ValuesOfColumn("a/b"))) == ["a%2Fb=x"]


@pytest.mark.parametrize(
    ("values", "folders"),
    [
        (pa.array([True, False]), ["k=true", "k=false"]),
        (pa.array([-1, None], pa.int8()), ["k=-1", "k=__HIVE_DEFAULT_PARTITION__"]),
        (pa.array([1.5, float("nan"), float("nan")]), ["k=1.5", "k=nan"]),
        (pa.array([Decimal("1.50")]), ["k=1.50"]),
        (pa.array([dt.date(2024, 2, 29)]), ["k=2024-02-29"]),
        (pa.array([0], pa.timestamp("ms")), ["k=1970-01-01 00%3A00%3A00.000"]),
        (pa.array([0], pa.timestamp("s", "Europe/Berlin")), ["k=1970-01-01 00%3A00%3A00Z"]),
        (pa.array(["x", "y", "x"], pa.dictionary(pa.int8(), pa.string())), ["k=x", "k=y"]),
        (pa.nulls(2), ["k=__HIVE_DEFAULT_PARTITION__"]),
        (pa.array([], pa.string()), []),
    ],
)
def test_values_of_all_kinds(values: pa.Array, folders: list[str]) -> None:
    assert folders_of(values) == folders


def test_more_folders_than_sixteen_bits() -> None:
    rows = pa.record_batch({"k": pa.array([*range(70_000), 0])})
    pieces = split(rows, ValuesOfColumn("k"))
    assert len(pieces) == 70_000
    assert pieces["k=0"] == [0, 70_000]


def seconds(*texts: str | None, unit: str = "us", zone: str | None = None) -> pa.Array:
    moments = [None if text is None else dt.datetime.fromisoformat(text) for text in texts]
    return pa.array(moments, pa.timestamp(unit)).cast(pa.timestamp(unit, zone))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_folders_by_time(unit: str) -> None:
    at = seconds("2024-02-29 12:00", "1969-12-31 23:59:59", None, "2024-02-29 12:59:59", unit=unit)
    assert split(pa.record_batch({"at": at}), TextOfTime("at", "yyyy-MM-dd--HH", "UTC", None)) == {
        "2024-02-29--12": [0, 3],
        "1969-12-31--23": [1],
        "__HIVE_DEFAULT_PARTITION__": [2],
    }


def test_instants_in_the_zone_asked_for() -> None:
    at = seconds("2024-03-31 00:30", "2024-03-31 01:30", zone="UTC")
    rows = pa.record_batch({"at": at, "local": at.cast(pa.timestamp("us"))})
    assert list(split(rows, TextOfTime("at", "HH", "Europe/Berlin", "hour"))) == ["hour=01", "hour=03"]
    assert list(split(rows, TextOfTime("local", "HH", "Europe/Berlin", None))) == ["00", "01"]
    assert list(split(rows, TextOfTime("at", "mm", "Asia/Kathmandu", None))) == ["15"]


def test_dates_in_folders_of_folders() -> None:
    days = [dt.date(2024, 2, 29), dt.date(1970, 1, 1)]
    rows = pa.record_batch({"day": days, "ms": pa.array(days, pa.date64())})
    for column in ("day", "ms"):
        assert list(split(rows, TextOfTime(column, "yyyy/MM", "UTC", None))) == ["2024/02", "1970/01"]
    assert list(split(rows, TextOfTime("day", "'..'/yyyy", "UTC", None))) == ["%2E%2E/2024", "%2E%2E/1970"]


def test_what_cannot_name_folders() -> None:
    rows = pa.record_batch({"country": [[1]], "b": [b"x"], "n": [1]})
    expectations: list[tuple[TextOfColumn, type[Exception], str]] = [
        (ValuesOfColumn("contry"), ConfigurationError, "partitions by 'contry', .* did you mean 'country'"),
        (
            ValuesOfColumn("country"),
            TypeMismatchError,
            "column 'country' of type list<.*> cannot be used for folder names",
        ),
        (ValuesOfColumn("b"), TypeMismatchError, "of type binary cannot be used for folder names"),
        (TextOfTime("n", "yyyy", "UTC", None), TypeMismatchError, "folders by time need a timestamp"),
    ]
    for text, error, message in expectations:
        with pytest.raises(error, match=message):
            _drain(Partitions([text]).split(rows))


def _drain(pieces: Any) -> None:
    for _ in pieces:
        pass
