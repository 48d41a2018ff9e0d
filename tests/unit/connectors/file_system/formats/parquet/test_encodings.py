from __future__ import annotations

import pyarrow as pa

from shmflink.connectors.file_system.formats.parquet.encodings import SAMPLE_ROWS, choose_encodings


def test_the_sample_is_taken_from_all_over() -> None:
    """Distinct numbers first, one number repeated after: neither half alone decides."""
    few, many = range(SAMPLE_ROWS), range(SAMPLE_ROWS * 3)
    rows = pa.table({"late": [*few, *[0] * len(many)], "early": [*[0] * len(few), *many]})
    assert choose_encodings(rows, "auto", "plain") == (["late"], {})


def test_nulls_are_not_counted() -> None:
    rows = pa.table({"a": [1, 2, *[None] * 98], "b": [1, *[1] * 99]})
    assert choose_encodings(rows, "auto", "compact") == (["b"], {"a": "DELTA_BINARY_PACKED"})


def test_a_dictionary_for_all_leaves_nothing_to_choose() -> None:
    assert choose_encodings(pa.table({"a": [1]}), True, "compact") == (True, {})


def test_what_counts_as_a_number() -> None:
    columns = {
        "date": pa.array([1], pa.date32()),
        "time": pa.array([1], pa.time64("us")),
        "took": pa.array([1], pa.duration("s")),
        "small": pa.array([1], pa.uint8()),
        "text": pa.array(["x"]),
        "half": pa.array([1.5], pa.float32()),
    }
    chosen, encodings = choose_encodings(pa.table(columns), False, "compact")
    assert (chosen, set(encodings)) == (False, {"date", "time", "took", "small"})


def test_types_that_cannot_be_counted_get_a_dictionary() -> None:
    rows = pa.table({"v": pa.array([b"a", b"b"], pa.binary_view())})
    assert choose_encodings(rows, "auto", "plain")[0] in (["v"], [])
