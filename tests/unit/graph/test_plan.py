"""The plan as JSON and as a tree."""

from __future__ import annotations

import json

from oracle.recorded_program import Program

from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.plan import plan_as_json, plan_as_tree


def word_count(program: Program) -> None:
    words = program.operator(program.source("lines"), name="FlatMap", description="splits into words")
    key_by = program.operator(words, name="KeyBy", parallelism=None)
    counts = program.operator(program.partition(key_by, ShipStrategy.HASH), name="Reduce", parallelism=4)
    program.sink(counts, "Print to Std. Out", parallelism=1)


def test_json_is_flinks(program: Program) -> None:
    word_count(program)
    assert json.loads(plan_as_json(program.stream_graph())) == {
        "nodes": [
            {
                "id": 1,
                "type": "Source: lines",
                "pact": "Data Source",
                "contents": "Source: lines",
                "parallelism": 2,
            },
            {
                "id": 2,
                "type": "FlatMap",
                "pact": "Operator",
                "contents": "splits into words",
                "parallelism": 2,
                "predecessors": [{"id": 1, "ship_strategy": "FORWARD", "side": "second"}],
            },
            {
                "id": 3,
                "type": "KeyBy",
                "pact": "Operator",
                "contents": "KeyBy",
                "parallelism": 2,
                "predecessors": [{"id": 2, "ship_strategy": "FORWARD", "side": "second"}],
            },
            {
                "id": 5,
                "type": "Reduce",
                "pact": "Operator",
                "contents": "Reduce",
                "parallelism": 4,
                "predecessors": [{"id": 3, "ship_strategy": "HASH", "side": "second"}],
            },
            {
                "id": 6,
                "type": "Sink: Print to Std. Out",
                "pact": "Data Sink",
                "contents": "Sink: Print to Std. Out",
                "parallelism": 1,
                "predecessors": [{"id": 5, "ship_strategy": "REBALANCE", "side": "second"}],
            },
        ]
    }


def test_tree_of_word_count(program: Program) -> None:
    word_count(program)
    assert plan_as_tree(program.job_graph("Word count")) == (
        "Word count\n"
        "streaming · 3 tasks · 7 subtasks · needs 4 slots\n"
        "\n"
        "[1] Source: lines → FlatMap → KeyBy              parallelism 2\n"
        "│    · splits into words\n"
        "└─ HASH ─▶ [2] Reduce                            parallelism 4, 128 key groups\n"
        "   └─ REBALANCE ─▶ [3] Sink: Print to Std. Out   parallelism 1\n"
    )


def test_tree_of_two_sources_and_two_groups(program: Program) -> None:
    left, right = program.source("left", 1), program.source("right", 1)
    parsed = program.operator(program.union(left, right), name="Parse", parallelism=2)
    program.sink(parsed, "good", parallelism=2)
    program.sink(program.side_output(parsed, "bad"), "bad", parallelism=1, slot_sharing_group="io")
    assert plan_as_tree(program.job_graph("Two")) == (
        "Two\n"
        "streaming · 4 tasks · 5 subtasks · needs 3 slots (default: 2, io: 1)\n"
        "\n"
        "[1] Source: left                                              parallelism 1, group default\n"
        "└─ REBALANCE ─▶ [3] Parse → Sink: good                        parallelism 2, group default\n"
        "   └─ REBALANCE (Parse, side output 'bad') ─▶ [4] Sink: bad   parallelism 1, group io\n"
        "\n"
        "[2] Source: right                                             parallelism 1, group default\n"
        "└─ REBALANCE ─▶ [3] (see there)\n"
    )
