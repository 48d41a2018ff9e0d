"""The benchmarks run and print the documented output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEYS = ["case", "rows", "seconds", "rows_per_s", "cpu_s", "peak_rss_mb", "target", "value", "ok"]
WATCHDOG_SECONDS = 300


def perf(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "perf", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=WATCHDOG_SECONDS, cwd=ROOT, check=False)


@pytest.mark.parametrize("case", ["records", "startup", "slots_exchange"])
def test_a_case_prints_one_json_object_a_line(case: str) -> None:
    done = perf(case, "--smoke", "--json")
    assert done.returncode == 0, done.stderr
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    assert measured
    for one in measured:
        assert list(one)[: len(KEYS)] == KEYS
        assert one["case"] == case
        assert one["ok"] is None
        assert one["value"] > 0 or case == "slots_exchange"


def test_a_table_for_people() -> None:
    done = perf("startup", "--smoke")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:3] == ["case", "value", "target"]
    assert "run to exit: less than 1.5 s" in done.stdout


def test_an_unknown_case_names_those_that_exist() -> None:
    done = perf("nothing")
    assert done.returncode == 2
    assert "no case 'nothing'" in done.stderr
    assert "records, " in done.stderr


def test_cases_are_listed() -> None:
    done = perf("--list")
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert {"etl_parquet", "aggregate_csv_5m", "word_count", "memory", "slots", "records"} <= set(names)
    assert names == sorted(names)


def test_other_engines_rows_are_equal_to_ours() -> None:
    done = perf("aggregate_1k", "wide", "--smoke", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["problem"] for one in measured if one["engine"] in ("pyarrow", "shmflink")] == [None] * 4
    assert all(one["ok"] is None and list(one)[: len(KEYS)] == KEYS for one in measured)
