"""Random programs, each step with what it does to a stream of shmflink and to one of the oracle.

Rows are (key, number, at, mark). All randomness is Hypothesis's: a failing program is printed and made smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from oracle import elements, processing
from oracle import windows as naive
from oracle.elements import Event, Results, Stream
from oracle.in_shmflink import Describe, DescribeAll, assigner_of, late_tag, trigger_of
from oracle.scripted_functions import ASIDE, Obey
from oracle.scripted_source import ScriptRow

from shmflink.common import Types
from shmflink.core.row import Row
from shmflink.datastream.functions import KeyedCoProcessFunction, MapFunction, ProcessFunction
from shmflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

ANY = Types.PICKLED_BYTE_ARRAY()
SAFE = ("timer", "timer", "delete timer", "value", "change", "list", "replace", "map", "remove", "add", "show", "aside")


@dataclass(frozen=True)
class Step:
    """A transformation: said to shmflink, and what the oracle takes it for."""

    text: str
    apply: Callable[[Any], Any]
    meaning: Callable[[Stream], Stream]

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Ending:
    """What a program ends in: its main output and its side outputs (by tag), in either mode."""

    text: str
    apply: Callable[[Any], Any]
    streaming: Callable[[Stream], Results]
    batch: Callable[[Stream], Results]
    sides: tuple[Any, ...] = ()
    is_ordered: bool = True  # within one key

    def __repr__(self) -> str:
        return self.text


# --- steps without state; rows stay rows ---


def doubled(row: Any) -> Any:
    return (row[0], row[1] * 2, row[2], row[3])


def is_kept(row: Any) -> bool:
    return row[1] % 3 != 0


def repeated(row: Any) -> Any:
    return [(row[0], row[1] + copy, row[2], row[3]) for copy in range(row[1] % 3)]


class Split(ProcessFunction):
    """Odd numbers go aside."""

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        assert ctx.timestamp() == value[2]
        yield (ASIDE, value) if value[1] % 2 else value


class WithTime(ProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        yield (ctx.timestamp(), value)


STEPS = [
    Step("map", lambda s: s.map(doubled), lambda s: elements.map_(s, doubled)),
    Step("filter", lambda s: s.filter(is_kept), lambda s: elements.filter_(s, is_kept)),
    Step("flat_map", lambda s: s.flat_map(repeated), lambda s: elements.flat_map(s, repeated)),
    Step("odd aside", lambda s: s.process(Split()), lambda s: processing.process(s, Split()).main),
    Step(
        "even aside",
        lambda s: s.process(Split()).get_side_output(ASIDE),
        lambda s: processing.process(s, Split()).side(ASIDE.tag_id),
    ),
]


# --- keys ---


def by_name(row: Any) -> Any:
    return row[0]


def by_number(row: Any) -> Any:
    return row[1] % 3


def by_both(row: Any) -> Any:
    return (row[0], row[1] % 2)


def by_odd(row: Any) -> Any:
    return row[1] % 2 == 1


def by_third(row: Any) -> Any:
    return row[1] % 4 / 2


KEYS = st.sampled_from([by_name, by_name, by_number, by_both, by_odd, by_third])


# --- endings ---


class ObeyNumbers(Obey):
    """The number of a row says what to do."""

    sees_marks = False  # of two watermarks without a row between them a channel may hand on the second alone

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        yield from self.obey((value[0], SAFE[value[1] % len(SAFE)], value[1]), ctx)


def merged(first: Any, second: Any) -> Any:
    """In any order."""
    return (max(first[0], second[0], key=str), first[1] + second[1], max(first[2], second[2]), None)


class Greatest:
    """The greatest number and the sum; an AggregateFunction."""

    def create_accumulator(self) -> list[int]:
        return [-1, 0]

    def add(self, value: Any, accumulator: list[int]) -> list[int]:
        accumulator[:] = max(accumulator[0], value[1]), accumulator[1] + value[1]
        return accumulator

    def get_result(self, accumulator: list[int]) -> Any:
        return tuple(accumulator)

    def merge(self, first: list[int], second: list[int]) -> list[int]:
        return [max(first[0], second[0]), first[1] + second[1]]


def process_ending(key: Any) -> Ending:
    return Ending(
        f"key_by({key.__name__}).process",
        lambda s: s.key_by(key).process(ObeyNumbers()),
        lambda s: processing.process(s, ObeyNumbers(), key),
        lambda s: processing.process_batch(s, ObeyNumbers(), key),
        (ASIDE,),
    )


def reduce_ending(key: Any) -> Ending:
    return Ending(
        f"key_by({key.__name__}).reduce",
        lambda s: s.key_by(key).reduce(merged),
        lambda s: Results(processing.reduce(s, key, merged)),
        lambda s: Results(processing.reduce_batch(s, key, merged)),
        is_ordered=key is by_name,  # results tell the name, not the key
    )


class CountEach(MapFunction):
    """How many of its key there were: keyed state in a MapFunction."""

    def open(self, runtime_context: Any) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def map(self, value: Any) -> Any:
        self.count.update((self.count.value() or 0) + 1)
        return (value[0], value[1], self.count.value())

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        """As the oracle calls it."""
        yield self.map(value)


def map_ending(key: Any) -> Ending:
    return Ending(
        f"key_by({key.__name__}).map",
        lambda s: s.key_by(key).map(CountEach()),
        lambda s: processing.process(s, CountEach(), key),
        lambda s: processing.process_batch(s, CountEach(), key),
        is_ordered=key is by_name,
    )


def of_all(_: Any) -> None:
    return None


def window_ending(key: Any, spec: naive.Windowing, kind: str) -> Ending:
    """`kind`: process, reduce, reduce+process, aggregate, aggregate+process. The key `of_all`: window_all."""
    how, _, then = kind.partition("+")
    function = Describe(merges=isinstance(spec.assigner, naive.Session)) if then or how == "process" else None
    fold = {"process": None, "reduce": naive.reduced(merged), "aggregate": naive.aggregated(Greatest())}[how]
    meant = naive.Windowing(
        spec.assigner, spec.trigger, function, fold, spec.lateness, spec.late, spec.is_event_time, spec.keep_last
    )

    def apply(stream: Any) -> Any:
        assigner = assigner_of(spec)
        windowed = stream.window_all(assigner) if key is of_all else stream.key_by(key).window(assigner)
        windowed = windowed.trigger(trigger_of(spec, spec.trigger)).allowed_lateness(spec.lateness)
        said = DescribeAll(function) if key is of_all and function is not None else function
        tag = late_tag(spec)
        if tag is not None:
            windowed = windowed.side_output_late_data(tag)
        if how == "process":
            return windowed.process(said)
        if how == "reduce":
            return windowed.reduce(merged, said)
        return windowed.aggregate(Greatest(), said)

    tag = late_tag(spec)
    return Ending(
        f"key_by({key.__name__}).window({spec}).{kind}",
        apply,
        lambda s: naive.window(s, key, meant),
        lambda s: naive.window_batch(s, key, meant),
        () if tag is None else (tag,),
        is_ordered=False,  # windows of one key that fire at one time
    )


TIMED_WINDOWS = st.one_of(
    st.builds(naive.Tumbling, st.integers(3, 12), st.integers(-2, 2)),
    st.builds(naive.Sliding, st.integers(3, 12), st.integers(2, 7), st.integers(-1, 1)),
    st.builds(naive.Session, st.integers(1, 6)),
)
TRIGGERS = st.one_of(
    st.just(naive.AtEnd()),
    st.just(naive.AtEnd()),
    st.builds(naive.AtCount, st.integers(1, 4)),
    st.builds(naive.Every, st.integers(1, 6)),
    st.builds(naive.Purging, st.builds(naive.AtCount, st.integers(1, 4))),
)
KINDS = st.sampled_from(["process", "process", "reduce", "reduce+process", "aggregate", "aggregate+process"])


@st.composite
def windows(draw: Any, *, is_plain: bool = False) -> Ending:
    """`is_plain`: fires once at the end, whatever the order of the rows."""
    spec = naive.Windowing(
        draw(TIMED_WINDOWS),
        naive.AtEnd() if is_plain else draw(TRIGGERS),
        lateness=draw(st.sampled_from([0, 0, 2, 50])),
        late=draw(st.sampled_from([None, "late"])),
    )
    return window_ending(draw(st.one_of(KEYS, KEYS, st.just(of_all))), spec, draw(KINDS))


@st.composite
def counts(draw: Any) -> Ending:
    size = draw(st.integers(1, 4))
    spec = naive.Windowing(
        naive.Counting(size, draw(st.sampled_from([size, 1, 2, 3]))), naive.Purging(naive.AtCount(size))
    )
    return window_ending(draw(KEYS), spec, draw(KINDS))


ENDINGS = st.one_of(
    windows(),
    windows(),
    counts(),
    st.builds(process_ending, KEYS),
    st.builds(process_ending, KEYS),
    st.builds(reduce_ending, KEYS),
    st.builds(map_ending, KEYS),
)


# --- rows ---

ROWS: st.SearchStrategy[list[ScriptRow]] = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", None]),
        st.integers(0, 35),
        st.integers(-5, 40),
        st.none() | st.none() | st.integers(-5, 42),
    ),
    max_size=40,
)


def on_time(rows: list[ScriptRow]) -> list[ScriptRow]:
    """The same rows with marks that none of them comes after.

    Nor touches: a session that a watermark has ended is not merged with one that begins at its end.
    """
    made: list[ScriptRow] = []
    least = 10**6
    for key, number, at, mark in reversed(rows):
        made.append((key, number, at, None if mark is None else min(mark, least - 2)))
        least = min(least, at)
    return made[::-1]


def stream_of(rows: list[ScriptRow]) -> Stream:
    return elements.timestamps_and_marks(rows, lambda row: row[2], lambda row: row[3])


def plain(value: Any) -> Any:
    """Rows as tuples, whatever form they travelled in."""
    if isinstance(value, (Row, tuple, list)):
        return tuple(map(plain, value))
    return value


def outputs(results: Results, sides: tuple[Any, ...]) -> list[tuple[str, Any]]:
    """(output, (time, value)) in order."""
    named = [("main", results.main), *((tag.tag_id, results.side(tag.tag_id)) for tag in sides)]
    return [(name, (e.time, plain(e.value))) for name, stream in named for e in stream if isinstance(e, Event)]


class PairUp(KeyedCoProcessFunction):
    """What both streams have of each ten milliseconds, emitted when they are over: not before, not later."""

    def open(self, runtime_context: Any) -> None:
        self.states = [
            runtime_context.get_map_state(MapStateDescriptor("left", ANY, ANY)),
            runtime_context.get_map_state(MapStateDescriptor("right", ANY, ANY)),
        ]

    def process_element1(self, value: Any, ctx: Any) -> None:
        self._keep(0, value, ctx)

    def process_element2(self, value: Any, ctx: Any) -> None:
        self._keep(1, value, ctx)

    def _keep(self, which: int, value: Any, ctx: Any) -> None:
        end = ctx.timestamp() // 10 * 10 + 9
        self.states[which].put(end, [*(self.states[which].get(end) or ()), tuple(value)])
        ctx.timer_service().register_event_time_timer(end)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        both = [sorted(map(repr, state.get(timestamp) or ())) for state in self.states]
        for state in self.states:
            state.remove(timestamp)
        yield (ctx.get_current_key(), timestamp, *both)
