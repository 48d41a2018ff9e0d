"""Names of other tools on expressions: errors that say what is written here."""

from __future__ import annotations

import re

import pytest

from shmflink.errors import TypeMismatchError, UsageError
from shmflink.expressions import Expression, call_sql, col, count
from shmflink.expressions.synonyms import SYNONYMS


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("isin", ".in_(...)"),
        ("mean", ".avg"),
        ("fillna", ".if_null(value)"),
        ("upper", ".upper_case"),
        ("startswith", ".starts_with(...)"),
        ("astype", ".cast(type)"),
        ("nunique", ".count_distinct"),
        ("strftime", "date_format(time, 'yyyy-MM-dd')"),
    ],
)
def test_a_name_from_elsewhere_tells_the_name_here(name: str, spelling: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"expressions have no {name}: write {spelling}")):
        getattr(col("x"), name)


def test_no_synonym_hides_a_function() -> None:
    assert [name for name in SYNONYMS if hasattr(Expression, name)] == []


def test_synonyms_name_functions_that_are_there() -> None:
    written = [re.match(r"\.(\w+)", spelling) for spelling in SYNONYMS.values()]

    assert [found[1] for found in written if found and not hasattr(Expression, found[1])] == []


def test_properties_are_written_without_brackets() -> None:
    with pytest.raises(TypeMismatchError, match=re.escape("`sum(x)` cannot be called")):
        col("x").sum()


def test_sql_in_expressions_is_refused_with_the_remedy() -> None:
    with pytest.raises(TypeMismatchError, match="write it with col"):
        call_sql("x + 1")


def test_filter_of_no_aggregate_names_the_stream() -> None:
    with pytest.raises(TypeMismatchError, match=re.escape("rows are filtered by ds.filter(condition)")):
        col("x").filter(col("x") > 1)


def test_filter_goes_into_every_aggregate() -> None:
    mean = (col("x").sum / count()).filter(col("x") > 1)

    assert str(mean) == "(sum(if_then_else((x > 1), x, None)) / count(if_then_else((x > 1), 1, None)))"
