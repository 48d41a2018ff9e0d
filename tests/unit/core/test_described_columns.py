from __future__ import annotations

import json
from typing import Any

import pytest

from shmflink.core.described_columns import of_columns, of_fewer_rows, of_pair, of_several

COVERING = {"bbox": {side: ["box", side] for side in ("xmin", "ymin", "xmax", "ymax")}}
POINTS = {"encoding": "WKB", "geometry_types": ["Point"], "crs": None, "bbox": [0, 1, 5, 6], "covering": COVERING}
LINES = {"encoding": "WKB", "geometry_types": ["LineString"], "edges": "spherical"}


def geo(primary: str = "at", version: str = "1.1.0", **columns: Any) -> bytes:
    return json.dumps({"version": version, "primary_column": primary, "columns": columns}).encode()


def changed(value: bytes | None) -> Any:
    assert value is not None
    return json.loads(value)


def test_geo_of_columns_that_stay_is_the_same_text() -> None:
    value = geo(at=POINTS, way=LINES)
    assert of_columns(b"geo", value, {"at": "at", "way": "way", "box": "box", "id": None}) == value


def test_geo_follows_a_renamed_column_and_its_boxes() -> None:
    made = changed(of_columns(b"geo", geo(at=POINTS), {"geom": "at", "bounds": "box"}))
    assert made["primary_column"] == "geom"
    assert made["columns"]["geom"]["covering"]["bbox"]["xmin"] == ["bounds", "xmin"]
    assert made["columns"]["geom"]["bbox"] == [0, 1, 5, 6]


def test_geo_loses_columns_that_are_gone() -> None:
    made = changed(of_columns(b"geo", geo(at=POINTS, way=LINES), {"way": "way", "at": None}))
    assert (made["primary_column"], list(made["columns"])) == ("way", ["way"])
    without_boxes = changed(of_columns(b"geo", geo(at=POINTS), {"at": "at"}))
    assert "covering" not in without_boxes["columns"]["at"]
    assert of_columns(b"geo", geo(at=POINTS), {"id": "id"}) is None


def test_geo_of_a_column_that_is_there_twice() -> None:
    made = changed(of_columns(b"geo", geo(way=LINES, primary="way"), {"a": "way", "b": "way"}))
    assert (made["primary_column"], made["columns"]) == ("a", {"a": LINES, "b": LINES})


def test_geo_of_fewer_rows() -> None:
    fewer = changed(of_fewer_rows(b"geo", geo(at=POINTS)))
    assert "bbox" not in fewer["columns"]["at"]
    assert fewer["columns"]["at"]["geometry_types"] == ["Point"]


def test_geo_of_several_inputs_is_united() -> None:
    other = {**POINTS, "geometry_types": ["Polygon", "Point"], "bbox": [-2, 3, 4, 9]}
    made = changed(of_several(b"geo", [geo(at=POINTS, version="1.0.0"), geo(at=other, version="1.1.0")]))
    assert made["version"] == "1.1.0"
    assert made["columns"]["at"] == {**POINTS, "geometry_types": ["Point", "Polygon"], "bbox": [-2, 1, 5, 9]}


@pytest.mark.parametrize(
    "box",
    [None, [170, 0, -170, 5], [0, 1, 2, 5, 6, 7]],
    ids=["missing", "crosses the antimeridian", "of three dimensions"],
)
def test_boxes_that_have_no_hull(box: Any) -> None:
    made = changed(of_several(b"geo", [geo(at=POINTS), geo(at={**POINTS, "bbox": box})]))
    assert "bbox" not in made["columns"]["at"]


def test_unknown_kinds_of_geometry_stay_unknown() -> None:
    made = changed(of_several(b"geo", [geo(at=POINTS), geo(at={**POINTS, "geometry_types": []})]))
    assert made["columns"]["at"]["geometry_types"] == []


@pytest.mark.parametrize(
    "difference", [{"crs": "OGC:CRS84"}, {"encoding": "point"}, {"edges": "spherical"}, {"epoch": 2021.5}]
)
def test_a_column_of_two_meanings_is_no_longer_described(difference: dict[str, Any]) -> None:
    other = {**POINTS, **difference}
    assert of_several(b"geo", [geo(at=POINTS), geo(at=other)]) is None
    kept = changed(of_several(b"geo", [geo(at=POINTS, way=LINES), geo(at=other, way=LINES)]))
    assert (kept["primary_column"], kept["columns"]) == ("way", {"way": LINES})


def test_a_column_that_one_input_does_not_describe() -> None:
    assert of_several(b"geo", [geo(at=POINTS), geo(way=LINES, primary="way")]) is None


def test_an_orientation_that_only_one_input_promises_is_no_promise() -> None:
    promised = {**LINES, "orientation": "counterclockwise"}
    made = changed(of_several(b"geo", [geo(way=promised, primary="way"), geo(way=LINES, primary="way")]))
    assert made["columns"]["way"] == LINES


@pytest.mark.parametrize("value", [b"", b"no JSON", b"[]", b'{"columns": []}', b'{"columns": {"at": 1}}', b"\xff"])
def test_what_cannot_be_read_is_dropped(value: bytes) -> None:
    for key in (b"geo", b"pandas", b"huggingface"):
        assert of_columns(key, value, {"at": "at"}) is None
    assert of_several(b"geo", [value, value]) is None
    assert of_fewer_rows(b"geo", value) is None


def frame(*columns: str, index: Any = ()) -> bytes:
    described = [{"name": None if name.startswith("__") else name, "field_name": name} for name in columns]
    return json.dumps({"index_columns": list(index), "columns": described}).encode()


def test_pandas_holds_as_long_as_all_columns_are_there_and_no_other() -> None:
    value = frame("a", "__index_level_0__", index=["__index_level_0__"])
    same = {"__index_level_0__": "__index_level_0__", "a": "a"}
    assert of_columns(b"pandas", value, same) == value
    assert of_columns(b"pandas", value, {**same, "bbox": "bbox"}) == value  # as GeoPandas writes it
    for other in ({"a": "a"}, {**same, "a": None}, {**same, "b": None}, {"b": "a", "__index_level_0__": same["a"]}):
        assert of_columns(b"pandas", value, other) is None


def test_a_range_of_pandas_counts_rows_that_are_others_now() -> None:
    value = frame("a", index=[{"kind": "range", "name": None, "start": 0, "stop": 9, "step": 1}])
    assert changed(of_columns(b"pandas", value, {"a": "a"}))["index_columns"] == []


def test_features_hold_as_long_as_all_columns_are_there() -> None:
    value = json.dumps({"info": {"features": {"a": {"dtype": "string"}}}}).encode()
    assert of_columns(b"huggingface", value, {"a": "a"}) == value
    assert of_columns(b"huggingface", value, {"b": "a"}) is None


def test_geo_of_pairs_of_rows() -> None:
    made = changed(of_pair(b"geo", [geo(at=POINTS), geo("way", way=LINES)], ()))
    assert (made["primary_column"], list(made["columns"])) == ("at", ["at", "way"])
    assert changed(of_pair(b"geo", [None, geo("way", way=LINES)], ()))["primary_column"] == "way"
    assert list(changed(of_pair(b"geo", [geo(at=POINTS, way=LINES), geo(at=POINTS)], ["at"]))["columns"]) == [
        "at",
        "way",
    ]
    assert of_pair(b"geo", [geo(at=POINTS), None], ["at"]) is None
    assert of_pair(b"geo", [geo(at=POINTS), geo(at={**POINTS, "crs": "other"})], ["at"]) is None
    assert of_pair(b"pandas", [b"{}", b"{}"], ()) is None
