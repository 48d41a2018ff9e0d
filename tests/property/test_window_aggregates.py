"""Windows of built-in aggregates, which are computed on columns, in whole jobs against the oracle.

Rows that are late and allowed fire a window again once for each batch, not for each row: what a window comes to is
compared, and which rows are too late.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from oracle import windows as naive
from oracle.elements import Event, Results
from oracle.in_shmflink import assigner_of
from oracle.programs import ROWS, by_name, plain, stream_of
from oracle.running import examples
from oracle.scripted_source import SCHEMA, ScriptedSource, ScriptRow, strategy

from shmflink.core.output_tag import OutputTag
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.expressions import col, count
from shmflink.testing import MiniCluster

EPOCH = datetime(1970, 1, 1)
LATE = OutputTag("late", ColumnsTypeInfo(SCHEMA))
ASSIGNERS = st.one_of(
    st.builds(naive.Tumbling, st.integers(3, 12), st.integers(-2, 2)),
    st.builds(naive.Sliding, st.integers(1, 12), st.integers(2, 7), st.integers(-1, 1)),
    st.builds(naive.Session, st.integers(1, 6)),
)


class Summary:
    """The window, and what the expressions give of its rows."""

    def process(self, key: Any, context: Any, elements: Any) -> Any:
        numbers = [row[1] for row in elements]
        window = context.window()
        yield (key, window.start, window.end, len(numbers), sum(numbers) * 2, max(numbers) - min(numbers))


def millis(value: Any) -> Any:
    return (value - EPOCH) // (datetime.resolution * 1000) if isinstance(value, datetime) else value


def final(rows: list[Any], assigner: Any) -> dict[Any, Any]:
    """The last result of each key and window, without sessions that grew into others later."""
    last = {(row[0], row[1], row[2]): row for row in rows}
    if not isinstance(assigner, naive.Session):
        return last
    return {
        (key, start, end): row
        for (key, start, end), row in last.items()
        if not any(key == k and s <= start and end <= e and (s, e) != (start, end) for k, s, e in last)
    }


def run(
    mode: str, slots: int, rows: list[ScriptRow], sizes: list[int], spec: naive.Windowing, *, is_all: bool
) -> tuple[list[Any], list[Any]]:
    """(results, late rows)."""
    with MiniCluster(slots=slots):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_runtime_mode(RuntimeExecutionMode[mode])
        stream = env.from_source(ScriptedSource(rows, sizes, "columns"), strategy("columns"), "script")
        windowed: Any = stream if is_all else stream.key_by("key")
        windowed = windowed.window_all(assigner_of(spec)) if is_all else windowed.window(assigner_of(spec))
        windowed = windowed.allowed_lateness(spec.lateness).side_output_late_data(LATE)
        results = windowed.aggregate(
            n=count(), twice=col("number").sum * 2, spread=col("number").max - col("number").min
        )
        made = results.map(lambda row: ("main", tuple(row))).set_parallelism(1 if is_all else slots)  # keeps the order
        late = results.get_side_output(LATE).map(lambda row: ("late", tuple(row)))
        with made.union(late).execute_and_collect() as found:
            named = [(name, tuple(map(millis, plain(row)))) for name, row in found]
    main = [(None, *row) if is_all else row for name, row in named if name == "main"]
    return main, [row for name, row in named if name == "late"]


def values(results: Results, tag: str) -> list[Any]:
    return [plain(one.value) for one in (results.side(tag) if tag else results.main) if isinstance(one, Event)]


@examples(120)
@given(
    ROWS,
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(1, 4),
    ASSIGNERS,
    st.sampled_from([0, 0, 2, 50]),
    st.booleans(),
    st.sampled_from(["STREAMING", "STREAMING", "BATCH"]),
)
def test_aggregates_over_expressions_mean_what_the_oracle_says(
    rows: list[ScriptRow], sizes: list[int], slots: int, assigner: Any, lateness: int, is_all: bool, mode: str
) -> None:
    spec = naive.Windowing(assigner, function=Summary(), lateness=lateness, late="late")
    key = (lambda row: None) if is_all else by_name
    meant = (naive.window if mode == "STREAMING" else naive.window_batch)(stream_of(rows), key, spec)
    made, late = run(mode, slots, rows, sizes, spec, is_all=is_all)
    assert final(made, assigner) == final(values(meant, ""), assigner)
    assert sorted(map(repr, late)) == sorted(map(repr, values(meant, "late")))
    if lateness == 0:
        assert len(made) == len(values(meant, ""))
