"""Functions of expressions against plain Python, row by row: for any nulls, slices and constants."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmflink.expressions import and_, bind, coalesce, col, concat, concat_ws, if_then_else, lit, not_, null_of, or_

Model = Callable[..., Any]
INT = st.integers(-(2**31), 2**31 - 1)
LONG = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-3, 3)
DOUBLE = st.floats(allow_nan=False)
TEXT = st.text("ab,.% _é漢\n\\", max_size=8)
SHORT = st.text("ab,é", max_size=2)
WHEN = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))
DAY = st.dates(date(1900, 1, 1), date(2100, 1, 1))
DECIMAL = st.decimals(-1000, 1000, places=2, allow_nan=False, allow_infinity=False)
BOOL = st.booleans()


def evaluated(build: Callable[..., Any], columns: list[pa.Array], constant: int | None = None) -> list[Any]:
    """The results of an expression of these columns; one of them as a constant, of the first row."""
    names = [f"c{index}" for index in range(len(columns))]
    arguments: list[Any] = [col(name) for name in names]
    if constant is not None:
        arguments[constant] = lit(columns[constant][0].as_py(), columns[constant].type)
    batch = pa.record_batch(columns, names=names)
    (result,) = bind([build(*arguments)], batch.schema).evaluate(batch)
    result.validate(full=True)
    return result.to_pylist()


def check(build: Callable[..., Any], model: Model, rows: list[tuple[Any, ...]], kinds: list[pa.DataType]) -> None:
    """As whole columns, as slices, empty, with each column as a constant: always what the model says of each row."""
    columns = [pa.array([row[index] for row in rows], kind) for index, kind in enumerate(kinds)]
    expected = [model(*row) for row in rows]
    assert same(evaluated(build, columns), expected), (rows, evaluated(build, columns), expected)
    shifted = [pa.concat_arrays([column, column, column]).slice(len(rows), len(rows)) for column in columns]
    assert same(evaluated(build, shifted), expected)
    odd = [column.slice(1) for column in columns]
    assert same(evaluated(build, odd), expected[1:])
    assert evaluated(build, [column.slice(0, 0) for column in columns]) == []
    for index in range(len(kinds)):
        constant = [model(*[rows[0][i] if i == index else row[i] for i in range(len(row))]) for row in rows]
        assert same(evaluated(build, columns, index), constant), (rows, index)


def same(found: list[Any], expected: list[Any]) -> bool:
    return len(found) == len(expected) and all(alike(*pair) for pair in zip(found, expected, strict=True))


def alike(found: Any, expected: Any) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return found == expected or (math.isnan(found) and math.isnan(expected))
    return type(found) is type(expected) and found == expected


def null_if_null(model: Model) -> Model:
    return lambda *row: None if None in row else model(*row)


def wrapped(bits: int) -> Callable[[int], int]:
    return lambda number: (number + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def divided(left: int, right: int) -> int:
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def rounded(number: Fraction, digits: int) -> Decimal:
    scaled = abs(number) * 10**digits
    whole = math.floor(scaled + Fraction(1, 2))
    return Decimal(whole if number >= 0 else -whole).scaleb(-digits)


def substring(text: str, begin: int, length: int) -> str | None:
    if length < 0:
        return None
    start = begin - 1 if begin > 0 else (len(text) + begin if begin < 0 else 0)
    return "" if start < 0 else text[start : start + length]


def located(text: str, needle: str, start: int) -> int:
    return text.find(needle, max(start, 1) - 1) + 1 if needle else 1


def padded(is_left: bool) -> Model:
    def model(text: str, length: int, pad: str) -> str | None:
        if length < 0 or not pad:
            return None
        filling = (pad * length)[: max(0, length - len(text))]
        return filling + text[:length] if is_left else text[:length] + filling

    return null_if_null(model)


def like(text: str, pattern: str) -> bool:
    regex = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(regex, text, re.DOTALL) is not None


def kleene_and(*row: bool | None) -> bool | None:
    return False if False in row else (None if None in row else True)


def kleene_or(*row: bool | None) -> bool | None:
    return True if True in row else (None if None in row else False)


def contained(value: int | None, *elements: int | None) -> bool | None:
    return kleene_or(*[None if value is None or element is None else value == element for element in elements])


i32, i64, f64, utf8 = pa.int32(), pa.int64(), pa.float64(), pa.utf8()
us, d32, dec = pa.timestamp("us"), pa.date32(), pa.decimal128(8, 2)
CASES: dict[str, tuple[Callable[..., Any], Model, list[Any], list[pa.DataType]]] = {
    "int + int": (lambda a, b: a + b, null_if_null(lambda a, b: wrapped(32)(a + b)), [INT, INT], [i32, i32]),
    "int - long": (lambda a, b: a - b, null_if_null(lambda a, b: wrapped(64)(a - b)), [INT, LONG], [i32, i64]),
    "long * long": (lambda a, b: a * b, null_if_null(lambda a, b: wrapped(64)(a * b)), [LONG, LONG], [i64, i64]),
    "int * double": (lambda a, b: a * b, null_if_null(lambda a, b: a * b), [INT, DOUBLE], [i32, f64]),
    "int / int": (
        lambda a, b: if_then_else(b != 0, a / b, null_of("INT")),
        null_if_null(lambda a, b: None if b == 0 else wrapped(32)(divided(a, b))),
        [st.one_of(INT, st.just(-(2**31))), SMALL],
        [i32, i32],
    ),
    "long % long": (
        lambda a, b: (b == 0).then(a, a % b),
        lambda a, b: None if a is None or b is None else (a if b == 0 else a - b * divided(a, b)),
        [st.one_of(LONG, st.just(-(2**63))), SMALL],
        [i64, i64],
    ),
    "-int": (lambda a: -a, null_if_null(lambda a: wrapped(32)(-a)), [INT], [i32]),
    "decimal * decimal": (
        lambda a, b: a * b,
        null_if_null(lambda a, b: (a * b).quantize(Decimal("0.0001"))),
        [DECIMAL, DECIMAL],
        [dec, dec],
    ),
    "decimal / decimal": (
        lambda a, b: if_then_else(b != 0, a / b, null_of(pa.decimal128(19, 11))),
        null_if_null(lambda a, b: None if b == 0 else rounded(Fraction(a) / Fraction(b), 11)),
        [DECIMAL, DECIMAL],
        [dec, dec],
    ),
    "decimal % decimal": (
        lambda a, b: if_then_else(b != 0, a % b, null_of(dec)),
        null_if_null(lambda a, b: None if b == 0 else (a % b).quantize(Decimal("0.01"))),
        [DECIMAL, DECIMAL],
        [dec, dec],
    ),
    "int < double": (lambda a, b: a < b, null_if_null(lambda a, b: a < b), [SMALL, DOUBLE], [i32, f64]),
    "text >= text": (
        lambda a, b: a >= b,
        null_if_null(lambda a, b: a.encode() >= b.encode()),
        [TEXT, TEXT],
        [utf8, utf8],
    ),
    "between": (
        lambda a, b: a.between(b, 2),
        lambda a, b: kleene_and(*(None if a is None or b is None else a >= b, None if a is None else a <= 2)),
        [SMALL, SMALL],
        [i32, i64],
    ),
    "in": (lambda a, b: a.in_(1, b, None), lambda a, b: contained(a, 1, b, None), [SMALL, SMALL], [i32, i32]),
    "in constants": (lambda a: a.in_(1, 2), lambda a: contained(a, 1, 2), [SMALL], [i64]),
    "and": (lambda a, b, c: and_(a, b, c), kleene_and, [BOOL, BOOL, BOOL], [pa.bool_()] * 3),
    "or": (lambda a, b, c: or_(a, b, c), kleene_or, [BOOL, BOOL, BOOL], [pa.bool_()] * 3),
    "not": (lambda a: not_(a), null_if_null(lambda a: not a), [BOOL], [pa.bool_()]),
    "is not true": (lambda a: ~a, lambda a: a is not True, [BOOL], [pa.bool_()]),
    "if": (
        lambda c, a, b: if_then_else(c, a, b),
        lambda c, a, b: a if c else b,
        [BOOL, TEXT, TEXT],
        [pa.bool_(), utf8, utf8],
    ),
    "coalesce": (
        lambda a, b: coalesce(a, b, 7),
        lambda a, b: a if a is not None else (b if b is not None else 7),
        [SMALL, LONG],
        [i32, i64],
    ),
    "timestamp + days": (
        lambda a, b: a + b.days,
        null_if_null(lambda a, b: a + timedelta(days=b)),
        [WHEN, SMALL],
        [us, i32],
    ),
    "timestamp - timestamp": (lambda a, b: a - b, null_if_null(lambda a, b: a - b), [WHEN, WHEN], [us, us]),
    "date - days": (
        lambda a, b: a - b.days,
        null_if_null(lambda a, b: a - timedelta(days=b)),
        [DAY, SMALL],
        [d32, i32],
    ),
    "int to text": (lambda a: a.cast("STRING"), null_if_null(str), [LONG], [i64]),
    "text to int": (lambda a: a.cast(utf8).cast(i64), lambda a: a, [LONG], [i64]),
    "double to text to double": (lambda a: a.cast(str).cast("DOUBLE"), lambda a: a, [DOUBLE], [f64]),
    "long to int": (lambda a: a.cast("INT"), null_if_null(wrapped(32)), [LONG], [i64]),
    "double to int": (
        lambda a: a.cast("INT"),
        null_if_null(lambda a: int(max(-(2**31), min(2**31 - 1, a)))),
        [DOUBLE],
        [f64],
    ),
    "decimal to text to decimal": (
        lambda a: a.cast(str).cast(pa.decimal128(6, 1)),
        null_if_null(lambda a: a.quantize(Decimal("0.1"), ROUND_HALF_UP)),
        [DECIMAL],
        [dec],
    ),
    "text to int or null": (
        lambda a: a.try_cast("INT"),
        null_if_null(lambda a: int(a.strip() or "x") if re.fullmatch(r"\s*[+-]?[0-9]+\s*", a) else None),
        [st.text("0123456789- ", max_size=5)],
        [utf8],
    ),
    "when to text to when": (lambda a: a.cast("STRING").cast(us), lambda a: a, [WHEN], [us]),
    "day to text to day": (lambda a: a.cast("STRING").cast(d32), lambda a: a, [DAY], [d32]),
    "substring": (lambda a, b, c: a.substring(b, c), null_if_null(substring), [TEXT, SMALL, SMALL], [utf8, i32, i64]),
    "left": (lambda a, b: a.left(b), null_if_null(lambda a, b: a[: max(0, b)]), [TEXT, SMALL], [utf8, i32]),
    "right": (lambda a, b: a.right(b), null_if_null(lambda a, b: a[-b:] if b > 0 else ""), [TEXT, SMALL], [utf8, i32]),
    "lpad": (lambda a, b, c: a.lpad(b, c), padded(True), [TEXT, st.integers(-1, 9), SHORT], [utf8, i32, utf8]),
    "rpad": (lambda a, b, c: a.rpad(b, c), padded(False), [TEXT, st.integers(-1, 9), SHORT], [utf8, i32, utf8]),
    "trim": (lambda a, b: a.trim(b), null_if_null(lambda a, b: a.strip(b) if b else a), [TEXT, SHORT], [utf8, utf8]),
    "ltrim": (lambda a: a.ltrim(), null_if_null(lambda a: a.lstrip(" ")), [TEXT], [utf8]),
    "upper": (lambda a: a.upper_case, null_if_null(str.upper), [TEXT], [utf8]),
    "length": (lambda a: a.char_length, null_if_null(len), [TEXT], [utf8]),
    "reverse": (lambda a: a.reverse, null_if_null(lambda a: a[::-1]), [TEXT], [utf8]),
    "repeat": (lambda a, b: a.repeat(b), null_if_null(lambda a, b: a * max(0, b)), [TEXT, SMALL], [utf8, i32]),
    "concat": (lambda a, b: concat(a, "-", b), null_if_null(lambda a, b: f"{a}-{b}"), [TEXT, TEXT], [utf8, utf8]),
    "concat_ws": (
        lambda a, b, c: concat_ws(a, b, c),
        lambda a, b, c: None if a is None else a.join(part for part in (b, c) if part is not None),
        [SHORT, TEXT, TEXT],
        [utf8, utf8, utf8],
    ),
    "replace": (
        lambda a, b, c: a.replace(b, c),
        null_if_null(lambda a, b, c: a.replace(b, c)),
        [TEXT, SHORT, SHORT],
        [utf8, utf8, utf8],
    ),
    "translate": (
        lambda a: a.translate("ab,é", "é1"),
        null_if_null(lambda a: a.translate(str.maketrans({"a": "é", "b": "1", ",": None, "é": None}))),
        [TEXT],
        [utf8],
    ),
    "locate": (
        lambda a, b, c: b.locate(a, c),
        null_if_null(located),
        [TEXT, SHORT, st.integers(-1, 9)],
        [utf8, utf8, i32],
    ),
    "starts": (lambda a, b: a.starts_with(b), null_if_null(str.startswith), [TEXT, SHORT], [utf8, utf8]),
    "ends": (lambda a, b: a.ends_with(b), null_if_null(str.endswith), [TEXT, SHORT], [utf8, utf8]),
    "contains": (lambda a, b: a.contains(b), null_if_null(lambda a, b: b in a), [TEXT, SHORT], [utf8, utf8]),
    "split": (lambda a: a.split(","), null_if_null(lambda a: a.split(",") if a else []), [TEXT], [utf8]),
    "split words": (lambda a: a.split(), null_if_null(lambda a: re.findall(r"[^ \n]+", a)), [TEXT], [utf8]),
    "split twice": (lambda a: a.split("ab"), null_if_null(lambda a: a.split("ab") if a else []), [TEXT], [utf8]),
    "split_index": (
        lambda a, b: a.split_index(",", b),
        null_if_null(lambda a, b: a.split(",")[b] if a and 0 <= b < len(a.split(",")) else None),
        [TEXT, SMALL],
        [utf8, i32],
    ),
    "like": (lambda a, b: a.like(b), null_if_null(like), [TEXT, st.text("ab%_é", max_size=5)], [utf8, utf8]),
    "regexp": (lambda a: a.regexp("a.?b"), null_if_null(lambda a: re.search("a.?b", a) is not None), [TEXT], [utf8]),
    "regexp_replace": (
        lambda a: a.regexp_replace("(a+)(b?)", "$2$1"),
        null_if_null(lambda a: re.sub("(a+)(b?)", "$2$1", a)),
        [TEXT],
        [utf8],
    ),
    "regexp_extract": (
        lambda a, b: a.regexp_extract("(a)(b|é)", b),
        null_if_null(lambda a, b: (m := re.search("(a)(b|é)", a)) and m[b] if 0 <= b <= 2 else None),
        [TEXT, SMALL],
        [utf8, i32],
    ),
    "regexp_count": (
        lambda a: a.regexp_count("[ab]+"),
        null_if_null(lambda a: len(re.findall("[ab]+", a))),
        [TEXT],
        [utf8],
    ),
    "hex": (lambda a: a.hex, null_if_null(lambda a: a.encode().hex().upper()), [TEXT], [utf8]),
    "hex of int": (lambda a: a.hex, null_if_null(lambda a: f"{a % 2**64:X}"), [LONG], [i64]),
    "base64": (lambda a: a.to_base64.from_base64, lambda a: a, [TEXT], [utf8]),
    "utf-16": (lambda a: a.encode("UTF-16LE"), null_if_null(lambda a: a.encode("utf-16-le")), [TEXT], [utf8]),
    "chr": (lambda a: a.chr, null_if_null(lambda a: "" if a < 0 else chr(a % 256)), [LONG], [i64]),
    "elt": (
        lambda a, b, c: a.elt(b, c),
        lambda a, b, c: None if a not in (1, 2) else (b if a == 1 else c),
        [SMALL, TEXT, TEXT],
        [i32, utf8, utf8],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_as_plain_python_does_it(name: str) -> None:
    build, model, strategies, kinds = CASES[name]
    row = st.tuples(*[st.one_of(st.none(), strategy) for strategy in strategies])

    @settings(max_examples=25, deadline=None, database=None)
    @given(st.lists(row, min_size=1, max_size=12))
    def run(rows: list[tuple[Any, ...]]) -> None:
        check(build, model, rows, kinds)

    run()
    check(build, model, [(None,) * len(kinds)] * 3, kinds)
