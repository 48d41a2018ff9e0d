"""Row behaves like PyFlink's."""

import copy
import pickle

import pytest

from shmflink.core.row import Row, RowKind


def test_named_and_positional_rows_print_as_pyflink_prints_them() -> None:
    assert repr(Row(a=1, b="x")) == "Row(a=1, b='x')"
    assert repr(Row(1, "x")) == "<Row(1, 'x')>"
    assert [str(kind) for kind in RowKind] == ["+I", "-U", "+U", "-D"]


def test_fields_are_read_by_name_attribute_and_position() -> None:
    row = Row(name="Alice", age=11)
    assert (row.name, row["age"], row[0], row[-1]) == ("Alice", 11, "Alice", 11)
    assert "name" in row
    assert "Alice" not in row
    assert 11 in Row("Alice", 11)
    with pytest.raises(AttributeError):
        _ = row.size
    with pytest.raises(ValueError, match="size"):
        _ = row["size"]


def test_fields_are_set_by_name_and_position_only() -> None:
    row = Row(a=1, b=2)
    row["a"] = 10
    row[1] = 20
    assert list(row) == [10, 20]
    with pytest.raises(AttributeError, match=r"a: a Row has no attributes to set .*; write row\['a'\] = \.\.\."):
        row.a = 3
    with pytest.raises(AttributeError, match=r"c: .*; its fields are \['a', 'b'\]"):
        row.c = 3
    with pytest.raises(AttributeError, match=r"a: .*set them by position, row\[0\] = \.\.\."):
        Row(1).a = 3
    with pytest.raises(KeyError):
        Row(1)["a"] = 2


def test_a_row_of_names_is_a_row_class() -> None:
    person = Row("name", "age")
    assert person("Alice", 11) == Row(name="Alice", age=11)
    with pytest.raises(ValueError, match="expected 2 values"):
        person("Alice", 11, 12)


def test_names_and_positions_do_not_mix() -> None:
    with pytest.raises(ValueError, match="both args and kwargs"):
        Row(1, a=2)


def test_equality_looks_at_names_values_and_kind() -> None:
    assert Row(a=1, b=2) == Row(b=2, a=1)
    assert Row(a=1) != Row(b=1)
    assert Row(1) != Row(a=1)
    assert Row(1, 2) != (1, 2)
    assert Row(1) != Row.of_kind(RowKind.DELETE, 1)
    assert hash(Row(1, 2)) == hash(Row(a=1, b=2)) == hash((1, 2))


def test_as_dict_and_fields_by_names() -> None:
    row = Row(key=1, value=[Row(name="a")])
    assert row.as_dict() == {"key": 1, "value": [Row(name="a")]}
    assert row.as_dict(True) == {"key": 1, "value": [{"name": "a"}]}
    assert row.get_fields_by_names(["value", "key"]) == [[Row(name="a")], 1]
    with pytest.raises(Exception, match="not exist"):
        row.get_fields_by_names(["nothing"])
    with pytest.raises(TypeError, match="Row class"):
        Row(1).as_dict()


def test_field_names_can_be_set_later() -> None:
    row = Row(1, 2)
    assert not hasattr(row, "_fields")
    row.set_field_names(["x", "y"])
    assert row.y == 2
    assert row._fields == ["x", "y"]


@pytest.mark.parametrize("row", [Row(1, None), Row(a=1), Row.of_kind(RowKind.UPDATE_AFTER, a="x"), Row()])
def test_rows_are_pickled_and_copied_whole(row: Row) -> None:
    for other in (pickle.loads(pickle.dumps(row)), copy.copy(row), copy.deepcopy(row)):
        assert other == row
        assert repr(other) == repr(row)
        assert other.get_row_kind() is row.get_row_kind()
