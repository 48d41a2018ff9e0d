"""join() against a loop over all pairs, for any rows, in jobs of several subtasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.expressions import count
from shmflink.operators.joins.spec import HOW, JoinHow
from shmflink.testing import MiniCluster

Rows = list[dict[str, Any]]

keys = st.one_of(st.none(), st.integers(0, 4))
sides = st.lists(st.fixed_dictionaries({"k": keys, "s": st.sampled_from(["", "a", "x" * 30, None])}), max_size=12)


def naive(left: Rows, right: Rows, how: JoinHow, on: list[str]) -> Iterator[tuple[Any, ...]]:
    def is_pair(a: dict[str, Any], b: dict[str, Any]) -> bool:
        return all(a[name] is not None and a[name] == b[name] for name in on)

    rest = [name for name in ("k", "s", "n") if name not in on]
    for a in left:
        partners = [b for b in right if is_pair(a, b)]
        if how in ("semi", "anti"):
            if bool(partners) == (how == "semi"):
                yield tuple(a[name] for name in ("k", "s", "n"))
            continue
        for b in partners:
            yield (*(a[name] for name in ("k", "s", "n")), *(b[name] for name in rest))
        if not partners and how in ("left", "full"):
            yield (*(a[name] for name in ("k", "s", "n")), *(None for _ in rest))
    for b in right if how in ("right", "full") else []:
        if not any(is_pair(a, b) for a in left):
            yield (*(b[name] if name in on else None for name in ("k", "s", "n")), *(b[name] for name in rest))


@given(sides, sides, st.sampled_from(HOW), st.sampled_from([["k"], ["s"], ["k", "s"]]))
def test_a_join_gives_the_pairs_of_a_nested_loop(left: Rows, right: Rows, how: JoinHow, on: list[str]) -> None:
    schema = pa.schema([("k", pa.int64()), ("s", pa.string()), ("n", pa.int64())])
    numbered = [[{**row, "n": n} for n, row in enumerate(side)] for side in (left, right)]
    with MiniCluster(slots=2):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_runtime_mode(RuntimeExecutionMode.BATCH)
        env.set_parallelism(2)
        streams = [env.from_arrow(pa.Table.from_pylist(rows, schema)) for rows in numbered]
        made = streams[0].join(streams[1], on, how=how).to_arrow()
        counted = streams[0].join(streams[1], on, how=how).aggregate(n=count()).to_arrow()
    assert counted.to_pydict() == {"n": [made.num_rows]}
    assert Counter(zip(*(column.to_pylist() for column in made.columns), strict=True)) == Counter(
        naive(*numbered, how, on)
    )
