"""A function is a screen, a class one thing: `python -m tests.tidy.lengths` prints the longest."""

from __future__ import annotations

from tests.tidy.lengths import function_lengths, method_counts, percentile

FUNCTION_P95_MAX = 25
METHODS_MAX = 25


def test_most_functions_are_short() -> None:
    """None is over 60 lines: see `test_functions_and_files_stay_short`."""
    lengths = function_lengths()
    found = percentile(lengths, 0.95)
    longest = "\n".join(place for _, place in lengths[-20:])
    assert found <= FUNCTION_P95_MAX, f"one function in 20 has more than {found} lines; the longest:\n{longest}"


def test_classes_outside_the_public_api_have_few_methods() -> None:
    counts = method_counts()
    large = [f"{place}: {count} methods" for count, place in counts if count > METHODS_MAX]
    assert not large, "split by state:\n" + "\n".join(large)
