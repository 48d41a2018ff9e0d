"""User functions that do what their elements tell them to: (key, command, ...). They run here and in the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shmflink.common import Types
from shmflink.core.output_tag import OutputTag
from shmflink.datastream.functions import (
    AggregateFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
)
from shmflink.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)

ASIDE = OutputTag("aside", Types.PICKLED_BYTE_ARRAY())
RULES = MapStateDescriptor("rules", Types.STRING(), Types.LONG())
ANY = Types.PICKLED_BYTE_ARRAY()


class Longest(AggregateFunction):
    """The longest so far and how many there were, in a list that is changed in place."""

    def create_accumulator(self) -> list[Any]:
        return ["", 0]

    def add(self, value: Any, accumulator: list[Any]) -> list[Any]:
        accumulator[0] = max(accumulator[0], str(value), key=len)
        accumulator[1] += 1
        return accumulator

    def get_result(self, accumulator: list[Any]) -> Any:
        return tuple(accumulator)

    def merge(self, acc_a: list[Any], acc_b: list[Any]) -> list[Any]:
        return [max(acc_a[0], acc_b[0], key=len), acc_a[1] + acc_b[1]]


class Commands:
    """States of all kinds, and what a command does to them."""

    sees_marks = True

    def open(self, runtime_context: Any) -> None:
        self.value = runtime_context.get_state(ValueStateDescriptor("value", ANY))
        self.list = runtime_context.get_list_state(ListStateDescriptor("list", ANY))
        self.map = runtime_context.get_map_state(MapStateDescriptor("map", ANY, ANY))
        self.sum = runtime_context.get_reducing_state(ReducingStateDescriptor("sum", lambda a, b: a + b, Types.LONG()))
        self.longest = runtime_context.get_aggregating_state(AggregatingStateDescriptor("longest", Longest(), ANY))

    def seen(self, what: str, ctx: Any) -> Any:
        """All that a function can see, as text: what it sees later must not change it."""
        states = (
            self.value.value(),
            list(self.list.get()),
            sorted(map(repr, self.map.items())),
            self.sum.get(),
            self.longest.get(),
        )
        times = (ctx.timestamp(), *([ctx.timer_service().current_watermark()] * self.sees_marks))
        return (ctx.get_current_key(), what, repr(times), repr(states))

    def obey(self, element: Any, ctx: Any) -> Iterator[Any]:
        _, command, number = element
        timers = ctx.timer_service()
        match command:
            case "timer":
                timers.register_event_time_timer(number)
            case "delete timer":
                timers.delete_event_time_timer(number)
            case "processing timer":
                timers.register_processing_time_timer(number)
            case "delete processing timer":
                timers.delete_processing_time_timer(number)
            case "aside":
                yield ASIDE, self.seen("aside", ctx)
            case "show":
                yield self.seen("element", ctx)
            case _:
                self.change(command, number)

    def change(self, command: str, number: int) -> None:
        match command:
            case "value":
                self.value.update([number])
            case "change":  # without update: nothing may come of it
                value = self.value.value()
                if value is not None:
                    value.append(number)
            case "list":
                self.list.add(number)
            case "replace":
                self.list.update([number] * (number % 3))
            case "map":
                self.map.put(number % 3, [number])
            case "remove":
                self.map.remove(number % 3)
            case "add":
                self.sum.add(number)
                self.longest.add("x" * number)
            case "clear":
                for state in (self.value, self.list, self.map, self.sum, self.longest):
                    state.clear()

    def ring(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        """A timer that says what it sees, and sets another: every third in the past, which fires at once."""
        name = ctx.time_domain().name
        yield self.seen(f"{name} {timestamp}", ctx)
        self.sum.add(1)
        if timestamp % 3 == 0:
            ctx.timer_service().register_event_time_timer(timestamp - 1)
        elif timestamp % 3 == 1:
            ctx.timer_service().register_event_time_timer(timestamp + 4)


class Obey(Commands, KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        yield from self.obey(value, ctx)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        yield from self.ring(timestamp, ctx)


class ObeyBoth(Commands, KeyedCoProcessFunction):
    def process_element1(self, value: Any, ctx: Any) -> Iterator[Any]:
        yield from self.obey(value, ctx)

    def process_element2(self, value: Any, ctx: Any) -> Iterator[Any]:
        yield ("second", *self.seen("second", ctx))
        yield from self.obey(value, ctx)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        yield from self.ring(timestamp, ctx)


class ObeyRules(Commands, KeyedBroadcastProcessFunction):
    """Elements of the broadcast side are rules (name, number); number 0 removes the rule."""

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        yield (value[0], "rules", repr(sorted(ctx.get_broadcast_state(RULES).items())), ctx.timestamp())
        yield from self.obey(value, ctx)

    def process_broadcast_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        name, number = value
        rules = ctx.get_broadcast_state(RULES)
        if number:
            rules.put(name, number)
        else:
            rules.remove(name)
        yield (None, "rule", repr(value), ctx.timestamp())

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        yield from self.ring(timestamp, ctx)


COMMANDS = (
    "timer",
    "timer",
    "delete timer",
    "processing timer",
    "delete processing timer",
    "value",
    "change",
    "list",
    "replace",
    "map",
    "remove",
    "add",
    "clear",
    "aside",
    "show",
    "show",
)
