"""Names from other tools on expressions: errors say what to write instead."""

from __future__ import annotations

import re

import pytest

from shmflink import expressions
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


_TRIED = """
    to_upper to_lower toUpperCase strlen len_chars pad_start find strpos is_nan fill_nan is_in is_between fill_null
    n_unique mean std var product len over shift diff cum_sum rolling_mean rank sort head tail limit slice cbrt log1p
    pow clip map_elements map_batches replace_strict cut implode explode drop_nulls forward_fill interpolate mode top_k
    is_unique is_duplicated eq and_ not_ xor mod strip_chars zfill strptime weekday ordinal_day offset_by epoch dt str
    list arr cat list_contains list_sort array_length string_agg regexp_matches regexp_full_match date_trunc date_part
    date_diff date_add dayname epoch_ms make_date quantile_cont max_by any_value bit_and count_if corr nvl nullif iff
    typeof struct_extract unnest list_value proctime rowtime concat_ws to_timestamp_ltz date_format timestamp_diff
    convert_tz unix_timestamp from_unixtime coalesce greatest least if_then_else null_of astype isna value_counts where
    apply title capitalize
"""


@pytest.mark.parametrize("name", _TRIED.split())
def test_what_users_of_other_tools_try_first_is_answered(name: str) -> None:
    with pytest.raises(UsageError, match=r": write .|: it is a function, shmflink\.expressions\.|do not have .*: "):
        getattr(col("x"), name)


def test_a_function_that_is_no_method_is_shown_as_one() -> None:
    with pytest.raises(UsageError, match=re.escape("it is a function, shmflink.expressions.greatest(...)")):
        _ = col("x").greatest


@pytest.mark.parametrize("name", ["to_lst", "fourier", "is_prime"])
def test_a_name_like_none_of_ours_is_not_taken_for_another(name: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"a row's field is .get('{name}')")):
        getattr(col("x"), name)


def test_a_slip_gets_the_name_that_was_meant() -> None:
    with pytest.raises(UsageError, match=re.escape("did you mean .upper_case?")):
        _ = col("x").uper_case


def test_no_synonym_hides_a_function() -> None:
    assert [name for name in SYNONYMS if hasattr(Expression, name)] == []


def test_synonyms_name_functions_that_are_there() -> None:
    written = [re.match(r"\.(\w+)", spelling) for spelling in SYNONYMS.values()]

    assert [found[1] for found in written if found and not hasattr(Expression, found[1])] == []


def test_synonyms_name_functions_of_the_module_that_are_there() -> None:
    written = [re.match(r"(\w+)\(", spelling) for spelling in SYNONYMS.values()]

    named = {found[1] for found in written if found} - {"top_n"}
    assert sorted(named - set(expressions.__all__)) == []


def test_properties_are_written_without_brackets() -> None:
    with pytest.raises(TypeMismatchError, match=re.escape("`sum(x)` cannot be called")):
        col("x").sum()


def test_sql_in_expressions_is_refused_with_the_remedy() -> None:
    with pytest.raises(TypeMismatchError, match="write it with col"):
        call_sql("x + 1")


def test_filter_of_no_aggregate_names_the_stream() -> None:
    with pytest.raises(TypeMismatchError, match=re.escape("to filter rows, use ds.filter(condition)")):
        col("x").filter(col("x") > 1)


def test_filter_goes_into_every_aggregate() -> None:
    mean = (col("x").sum / count()).filter(col("x") > 1)

    assert str(mean) == "(sum(if_then_else((x > 1), x, None)) / count(if_then_else((x > 1), 1, None)))"
