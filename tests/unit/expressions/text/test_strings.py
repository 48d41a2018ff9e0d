"""Strings, patterns, regular expressions, encodings: cases that property tests do not reach."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shmflink.errors import DataFormatError, TypeMismatchError
from shmflink.expressions import Expression, bind, col, lit

S = col("s")


def values(expression: Expression, **columns: Any) -> list[Any]:
    arrays = {name: given if isinstance(given, pa.Array) else pa.array(given) for name, given in columns.items()}
    batch = pa.record_batch(arrays)
    return bind([expression], batch.schema).evaluate(batch)[0].to_pylist()


def test_upper_case_of_slices_and_of_other_alphabets() -> None:
    assert values(S.upper_case, s=pa.array(["ab", None, "Cd", ""]).slice(1)) == [None, "CD", ""]
    assert values(S.upper_case, s=["straße", "ÿ", "ab"]) == ["STRASSE", "Ÿ", "AB"]
    assert values(S.lower_case, s=pa.array(["AB"] * 3).slice(3)) == []
    assert values(S.init_cap, s=["it's 3abc-DEF éa"]) == ["It'S 3abc-Def Éa"]


def test_parts_of_strings_outside_of_ascii() -> None:
    assert values(S.substring(-2, 1), s=["naïve", "x"]) == ["v", ""]
    assert values(S.substring(0), s=["ab"]) == ["ab"]
    assert values(S.overlay("--", 2, 3), s=["ünïcode", "x", ""]) == ["ü--ode", "x", ""]
    assert values(S.position("ünïcode"), s=["ï", "z", ""]) == [3, 0, 1]
    assert values(S.left(lit(None)), s=["a"]) == [None]


@pytest.mark.parametrize(
    ("pattern", "escape", "fitting"),
    [
        ("a%", None, ["abc", "a%c"]),
        ("%c", None, ["abc", "a%c"]),
        ("%b%", None, ["abc", "b"]),
        ("b", None, ["b"]),
        ("%", None, ["abc", "a%c", "b", ""]),
        ("%%", None, ["abc", "a%c", "b", ""]),
        ("a_c", None, ["abc", "a%c"]),
        ("a!%%", "!", ["a%c"]),
        ("%.%", None, []),
    ],
)
def test_like(pattern: str, escape: str | None, fitting: list[str]) -> None:
    given = ["abc", "a%c", "b", ""]
    assert [text for text, fits in zip(given, values(S.like(pattern, escape), s=given), strict=True) if fits] == fitting


def test_like_with_a_bad_escape() -> None:
    for escape, pattern in [("ab", "x"), ("!", "x!")]:
        with pytest.raises(TypeMismatchError, match="escape"):
            values(S.like(pattern, escape), s=["x"])


def test_similar() -> None:
    given = ["ab", "abab", "a.b", "7", "a-b", "x y"]
    for pattern, escape, expected in [
        ("(ab)+", None, ["ab", "abab"]),
        ("a.b", None, ["a.b", "a-b"]),
        ("a!.b", "!", ["a.b"]),
        ("[[:DIGIT:]]", None, ["7"]),
        ("a[^a-z]b", None, ["a.b", "a-b"]),
        ("_{2}|7", None, ["ab", "7"]),
        ("x!_y|a%", "!", ["ab", "abab", "a.b", "a-b"]),
    ]:
        fits = values(S.similar(pattern, escape), s=given)
        assert [text for text, fit in zip(given, fits, strict=True) if fit] == expected, pattern
    assert values(S.similar(col("p")), s=["ab", "b"], p=["a%", "[a]"]) == [True, False]


def test_regular_expressions_in_javas_form() -> None:
    assert values(S.regexp(r"^\d+\s\w+$"), s=["1 a", "१ a"]) == [True, False]
    assert values(S.regexp(r"\Q.+\E"), s=["a.+", "aa"]) == [True, False]
    assert values(S.regexp_replace(r"(?<x>b)", r"${x}\$1"), s=["abc"]) == [r"a${x}\$1c"]
    assert values(S.regexp_replace("", "-"), s=["ab"]) == ["-a-b-"]
    assert values(S.regexp_replace("b*", "-"), s=["abc", "é"]) == ["-a--c-", "-é-"]
    assert values(S.regexp_count("b*"), s=["abc"]) == [4]
    assert values(S.regexp(""), s=["a", None]) == [False, None]
    assert values(S.regexp_extract("(a)(x)?", 2), s=["a"]) == [None]
    assert values(S.regexp_extract_all("(a)(x)?", 2), s=["aax", None]) == [[None, "x"], None]
    assert values(S.regexp_extract_all("a", 1), s=["a"]) == [None]
    assert values(S.regexp_instr("b"), s=["éb"]) == [2]


@pytest.mark.parametrize(
    "build",
    [lambda p: S.regexp(p), lambda p: S.regexp_count(p), lambda p: S.regexp_extract(p), lambda p: S.regexp_instr(p)],
)
def test_patterns_that_are_none(build: Any) -> None:
    for pattern in ["(?=a)", r"(a)\1"]:
        with pytest.raises(TypeMismatchError, match="the regular expression"):
            values(build(pattern), s=["a"])
    with pytest.raises(DataFormatError, match=r"row 1 .*the regular expression '\(\?=a\)'"):
        values(build(col("p")), s=["a", "a"], p=["a", "(?=a)"])
    found = [values(build(pattern), s=["a"])[0] for pattern in ("(", "a)", "[a", "*")]
    assert found in ([None] * 4, [False] * 4)
    assert values(build(col("p")), s=["a", "a"], p=["a", "("])[1] in (None, False)


def test_lines_in_patterns_of_sql() -> None:
    lines = ["a\nb", "a-b"]
    assert values(S.like("a_b"), s=lines) == [False, True]
    assert values(S.like("a%b"), s=lines) == [True, True]
    assert values(S.like("a_%"), s=lines) == [False, True]
    assert values(S.like(col("p")), s=lines, p=["a_b", "a%"]) == [False, True]
    assert values(S.similar("a(_|%)b"), s=lines) == [True, True]
    assert values(S.similar("a.b"), s=lines) == [False, True]
    assert values(S.like("a-_"), s=["a-b\n", "a-b"]) == [False, True]


def test_split() -> None:
    long = ["word" * 20 + " x", "", None, " a  b "]
    assert values(S.split(" "), s=long) == [["word" * 20, "x"], [], None, ["", "a", "", "b", ""]]
    assert values(S.split(), s=long) == [["word" * 20, "x"], [], None, ["a", "b"]]
    assert values(S.split(lit(None)), s=["a"]) == [None]
    with pytest.raises(TypeMismatchError, match="the delimiter must be a constant"):
        values(S.split(S), s=["a"])


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view()])
def test_parts_of_strings_of_any_encoding(kind: pa.DataType) -> None:
    given = pa.array(["apple", "pear", None], kind)
    for expression in (S.starts_with("app"), S.ends_with("ple"), S.contains("ppl"), S.like("app%"), S == "apple"):
        assert values(expression, s=given) == [True, False, None]


def test_maps_of_text_split_as_in_java() -> None:
    assert values(S.str_to_map("|", "."), s=["a.1|b.2"]) == [[("", "")]]
    assert values(S.str_to_map(r"\|", r"\."), s=["a.1|b.2||", None]) == [[("a", "1"), ("b", "2")], None]
    assert values(S.str_to_map("x*", "="), s=["a"]) == [[("a", None)]]


def test_bytes() -> None:
    raw = pa.array([b"\xff\x00", None])
    assert values(col("b").hex, b=raw) == ["FF00", None]
    assert values(col("b").starts_with(b"\xff"), b=raw) == [True, None]
    assert values(col("b").to_base64, b=raw) == ["/wA=", None]
    assert values(col("b").decode("utf-8"), b=raw) == ["\ufffd\x00", None]
    assert values(S.encode("US-ASCII"), s=["aé"]) == [b"a?"]
    assert values(S.encode("UTF-16").decode("UTF-16"), s=["a𝄞"]) == ["a𝄞"]
    assert values(S.unhex, s=["f", "F0a", "x0"]) == [b"\x00", b"\x00\x0a", None]
    with pytest.raises(TypeMismatchError, match="the character set must be one of"):
        values(S.encode("EBCDIC"), s=["a"])
    with pytest.raises(DataFormatError, match=r"`s` = '\?' .*it is not valid base64"):
        values(S.from_base64, s=["?"])


def test_printf() -> None:
    assert values(
        lit("%d-%s|%5.1f|%-4s|%04d|%x|%,d|%b%n%%").printf(7, "a", 2.25, "b", 42, 255, 1234567, True), s=["x"]
    ) == ["7-a|  2.3|b   |0042|ff|1,234,567|true\n%"]
    assert values(lit("%2$s %1$s %s").printf(S, "z"), s=["x", None]) == ["z x x", "z null null"]
    assert values(S.printf(1), s=["%d %d", "%q", None, "no"]) == [None, None, None, "no"]


def test_numbers_of_letters() -> None:
    assert values(S.ascii, s=["é", "a", "", None]) == [0xC3, 97, 0, None]
    assert values(col("n").bin, n=[-1, 5]) == ["1" * 64, "101"]
    assert values(S.is_alpha, s=["é", "1", ""]) == [True, False, False]
