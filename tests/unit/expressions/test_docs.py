"""Every public function of expressions has an example, and every example has the stated result."""

from __future__ import annotations

import datetime
import decimal
import doctest
import inspect

import pytest

import shmflink.expressions as package
from shmflink.errors import UsageError
from shmflink.expressions import Expression, col
from shmflink.expressions.node import Node
from shmflink.expressions.showing import show

NOT_FUNCTIONS_OF_COLUMNS = {"bind", "bounds", "conjuncts", "split_aggregates", "using_clock"}
LEFT_OUT = "over rowtime proctime start end asc desc as_argument bitmap_build bitmap_and_agg".split()

PYFLINK_METHODS = """
exp log10 log2 ln log cosh sinh sin cos tan cot asin acos atan tanh degrees radians sqrt abs sign round concat between
not_between then if_null is_null is_not_null is_true is_false is_not_true is_not_false distinct sum sum0 min max count
avg first_value last_value list_agg stddev_pop stddev_samp var_pop var_samp collect array_agg alias cast try_cast in_
bin hex unhex truncate percentile starts_with ends_with substring substr trim_leading trim_trailing trim replace
translate char_length upper_case lower_case init_cap like similar position lpad rpad overlay regexp regexp_count
regexp_replace regexp_extract regexp_extract_all regexp_instr regexp_substr from_base64 to_base64 ascii chr decode
encode left right instr locate url_decode url_encode inet_aton inet_ntoa parse_url printf ltrim rtrim btrim repeat
reverse split_index str_to_map elt to_date to_time to_timestamp extract floor ceil get at cardinality element
array_append array_contains array_distinct array_position array_prepend array_remove array_reverse array_slice
array_sort array_union array_concat array_max array_join array_min array_except array_intersect split map_keys
map_union map_values map_entries year years quarter quarters month months week weeks day days hour hours minute
minutes second seconds milli millis md5 sha1 sha224 sha256 sha384 sha512 sha2 is_json json_exists json_value
json_query json_quote json_unquote object_update
""".split()
PYFLINK_FUNCTIONS = """
col lit and_ or_ not_ current_date current_time current_timestamp local_time local_timestamp to_date to_timestamp
to_timestamp_ltz temporal_overlaps date_format timestamp_diff convert_tz from_unixtime unix_timestamp array row map_
pi e rand rand_integer atan2 negative concat concat_ws uuid null_of log if_then_else json json_string json_object
json_array
""".split()


def methods() -> dict[str, str]:
    """Public methods and properties of expressions, and the operators that are described, with their docstrings."""
    of_node = set(dir(Node))
    found = {}
    for name in dir(Expression):
        text = inspect.getdoc(inspect.getattr_static(Expression, name)) or ""
        is_public = not name.startswith("_") and name not in of_node
        if is_public or (name.startswith("__") and ">>>" in text):
            found[name] = text
    return found


def functions() -> dict[str, str]:
    names = set(package.__all__) | {"json"}
    exported = {name: getattr(package, name) for name in sorted(names - NOT_FUNCTIONS_OF_COLUMNS)}
    return {name: inspect.getdoc(value) or "" for name, value in exported.items() if inspect.isfunction(value)}


@pytest.mark.parametrize(
    ("name", "text"),
    [(f"Expression.{name}", text) for name, text in methods().items()] + list(functions().items()),
    ids=lambda value: value if " " not in value and "\n" not in value else "",
)
def test_the_example_gives_what_it_says(name: str, text: str) -> None:
    if text.startswith("Not supported"):
        return  # it only says what to do instead
    assert ">>>" in text, f"{name}: add an example to its docstring"
    scope = {name: getattr(package, name) for name in (*package.__all__, "json")}
    scope |= {"show": show, "datetime": datetime, "decimal": decimal, "date": datetime.date, "Decimal": decimal.Decimal}
    test = doctest.DocTestParser().get_doctest(text, scope, name, None, None)
    report: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert not report, "".join(report)


def test_the_names_of_pyflink_are_there() -> None:
    missing = [name for name in PYFLINK_METHODS if name not in methods()]
    missing += [name for name in PYFLINK_FUNCTIONS if name not in functions()]
    assert not missing
    assert len({*PYFLINK_METHODS, *PYFLINK_FUNCTIONS}) >= 120


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_says_why(name: str) -> None:
    with pytest.raises(UsageError, match=f"do not have {name}: ..."):
        getattr(col("a"), name)


def test_a_mistyped_function_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"no function upper_cse; did you mean .upper_case?"):
        col("a").upper_cse  # noqa: B018  the access raises
    with pytest.raises(AttributeError, match=r"a row's field is .get\('zzz'\)"):
        col("a").zzz  # noqa: B018  the access raises


def test_importing_all_names_does_not_hide_the_json_module() -> None:
    assert "json" not in package.__all__
    assert callable(package.json)
