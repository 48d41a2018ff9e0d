"""Key-value metadata of tables that refers to columns: it follows renamed columns, and loses parts that no longer hold.

Sources: GeoParquet 1.1 (`geo`), pandas' "Storing pandas DataFrame objects in Apache Parquet format" (`pandas`), Hugging
Face datasets (`huggingface`). A key whose value cannot be parsed is dropped, because it is unknown whether it still
holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeAlias

__all__ = [
    "DESCRIBING",
    "OF_EACH_COLUMN",
    "Described",
    "Origins",
    "of_columns",
    "of_fewer_rows",
    "of_pair",
    "of_several",
]

Described: TypeAlias = dict[str, Any]
"""The JSON of one key."""

Origins: TypeAlias = Mapping[str, str | None]
"""For each column the name of its original column; None for a new column."""

_GEO: Final = b"geo"
_PANDAS: Final = b"pandas"
_SEMANTICS: Final = ("encoding", "crs", "edges", "epoch")
"""Fields of a geometry column that define the meaning of its values. Columns with different ones cannot be merged."""


def of_columns(key: bytes, value: bytes, origins: Origins) -> bytes | None:
    """The value for a table with the columns `origins`; None if nothing is left or it no longer holds."""
    return _changed(value, lambda held: DESCRIBING[key](held, origins))


def of_fewer_rows(key: bytes, value: bytes) -> bytes | None:
    """The value for a subset of the rows, whose bounding box is unknown."""
    return value if key != _GEO else _changed(value, lambda geo: _each_column(geo, _without_bounds))


def of_several(key: bytes, values: Sequence[bytes]) -> bytes | None:
    """The value for the rows of several tables with the same columns; None if they contradict each other."""
    if key == _GEO:
        return _changed(values[0], lambda first: _of_several_geo([first, *map(_loaded, values[1:])]))
    return values[0] if all(value == values[0] for value in values) else None


def of_pair(key: bytes, values: Sequence[bytes | None], common: Sequence[str]) -> bytes | None:
    """The value for pairs of rows; each column comes from one of two tables or, if `common`, from both."""
    given = [value for value in values if value is not None]
    if key != _GEO or not given:
        return None
    return _changed(given[0], lambda first: _of_geo_pair([first, *map(_loaded, given[1:])], len(values), set(common)))


def _changed(value: bytes, change: Callable[[Described], Described | None]) -> bytes | None:
    try:
        held = _loaded(value)
        made = change(held)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None
    if made is None:
        return None
    return value if made == held else json.dumps(made, separators=(",", ":"), ensure_ascii=False).encode()


def _loaded(value: bytes) -> Any:
    return json.loads(value)


# --- GeoParquet ---


def _geo_of_columns(geo: Described, origins: Origins) -> Described | None:
    names: dict[str, list[str]] = {}
    for name, origin in origins.items():
        if origin is not None:
            names.setdefault(origin, []).append(name)
    columns = {
        name: _with_covering(column, names)
        for origin, column in geo["columns"].items()
        for name in names.get(origin, ())
    }
    return _with_primary({**geo, "columns": columns}, names.get(geo["primary_column"], ()))


def _with_covering(column: Described, names: Mapping[str, Sequence[str]]) -> Described:
    """Drops the bounding-box columns if they were removed; otherwise updates their names."""
    covering = column.get("covering")
    if covering is None:
        return column
    rest = {key: value for key, value in column.items() if key != "covering"}
    roots = {path[0] for box in covering.values() for path in box.values()}
    if any(root not in names for root in roots):
        return rest
    moved = {
        kind: {side: [names[path[0]][0], *path[1:]] for side, path in box.items()} for kind, box in covering.items()
    }
    return {**column, "covering": moved}


def _with_primary(geo: Described, candidates: Sequence[str]) -> Described | None:
    """Ensures that the primary column exists; None if there is no geometry column."""
    columns = geo["columns"]
    if not columns:
        return None
    primary = next((name for name in candidates if name in columns), None)
    return {**geo, "primary_column": next(iter(columns)) if primary is None else primary}


def _of_several_geo(several: Sequence[Described]) -> Described | None:
    columns = {}
    for name in several[0]["columns"]:
        column = _of_several_columns([geo["columns"].get(name) for geo in several])
        if column is not None:
            columns[name] = column
    return _with_primary(
        {**several[0], "version": _newest(several), "columns": columns}, [several[0]["primary_column"]]
    )


def _of_geo_pair(given: Sequence[Described], sides: int, common: AbstractSet[str]) -> Described | None:
    columns: dict[str, Described] = {}
    for name in dict.fromkeys(name for geo in given for name in geo["columns"]):
        said = [geo["columns"][name] for geo in given if name in geo["columns"]]
        column = _of_several_columns(said) if len(said) == (sides if name in common else 1) else None
        if column is not None:
            columns[name] = column
    return _with_primary({**given[0], "version": _newest(given), "columns": columns}, [given[0]["primary_column"]])


def _newest(several: Sequence[Described]) -> str:
    return str(max((geo["version"] for geo in several), key=lambda text: [int(part) for part in text.split(".")]))


def _of_several_columns(several: Sequence[Described | None]) -> Described | None:
    """None if one of them lacks the meaning of the values, or if two contradict each other."""
    first, held = several[0], [column for column in several if column is not None]
    if first is None or len(held) < len(several):
        return None
    if any(_meaning(column) != _meaning(first) for column in held):
        return None
    kinds = [column["geometry_types"] for column in held]
    made = {key: value for key, value in first.items() if all(column.get(key) == value for column in held)}
    made["geometry_types"] = sorted({kind for each in kinds for kind in each}) if all(kinds) else []
    box = _hull([column.get("bbox") for column in held])
    return {**_without_bounds(made), **({} if box is None else {"bbox": box})}


def _meaning(column: Described) -> list[Any]:
    return [(key in column, column.get(key)) for key in _SEMANTICS]


def _hull(boxes: Sequence[list[float] | None]) -> list[float] | None:
    """The box around all boxes; None if one is missing, has other dimensions, or crosses the antimeridian."""
    given = [box for box in boxes if box]
    width = len(given[0]) if given else 0
    half = width // 2
    if len(given) < len(boxes) or any(len(box) != width or box[0] > box[half] for box in given):
        return None
    if all(box == given[0] for box in given):
        return given[0]
    return [min(box[i] for box in given) for i in range(half)] + [
        max(box[i] for box in given) for i in range(half, width)
    ]


def _each_column(geo: Described, change: Callable[[Described], Described]) -> Described:
    return {**geo, "columns": {name: change(column) for name, column in geo["columns"].items()}}


def _without_bounds(column: Described) -> Described:
    return {key: value for key, value in column.items() if key != "bbox"}


# --- all columns at once ---


def _pandas_of_columns(pandas: Described, origins: Origins) -> Described | None:
    """The value while all columns exist. A range index is dropped, because it states the number of rows."""
    described = [column.get("field_name") or column["name"] for column in pandas["columns"]]
    if not _unchanged(described, origins):
        return None
    return {**pandas, "index_columns": [index for index in pandas["index_columns"] if isinstance(index, str)]}


def _features_of_columns(features: Described, origins: Origins) -> Described | None:
    return features if _unchanged(list(features["info"]["features"]), origins) else None


def _unchanged(described: Sequence[str], origins: Origins) -> bool:
    """Whether all described columns exist and none is new; columns may lack a description."""
    return all(origins.get(name) == name for name in {*described, *origins})


DESCRIBING: Final[Mapping[bytes, Callable[[Described, Origins], Described | None]]] = {
    _GEO: _geo_of_columns,
    _PANDAS: _pandas_of_columns,
    b"huggingface": _features_of_columns,
}
"""The keys, and how each one follows the columns."""

OF_EACH_COLUMN: Final = frozenset({_GEO})
"""The keys that describe each column separately, independent of the rows."""
