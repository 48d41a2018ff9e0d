"""The examples run as users run them, and give the right answer."""

from __future__ import annotations

import collections
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
WATCHDOG_SECONDS = 120

BY_COMMAND = [str(Path(sys.executable).parent / "shmflink"), "run", "--slots", "2"]
BY_PYTHON = [sys.executable]
WAYS = pytest.mark.parametrize("way", [BY_COMMAND, BY_PYTHON], ids=["shmflink run", "python"])


def run(way: list[str], name: str, *arguments: str) -> list[str]:
    """Lines of standard output."""
    done = subprocess.run(
        [*way, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=WATCHDOG_SECONDS,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def counted(text: list[str]) -> dict[str, int]:
    return dict(collections.Counter(word for line in text for word in line.split()))


def parsed(lines: list[str]) -> dict[str, int]:
    """Counts from lines such as `2> (word,3)`; each word must be there once."""
    pairs = [match.groups() for line in lines if (match := re.fullmatch(r"(?:\d+> )?\((.*),(\d+)\)", line))]
    assert len(pairs) == len(dict(pairs))
    return {word: int(count) for word, count in pairs}


@WAYS
def test_word_count_of_its_own_text(way: list[str]) -> None:
    source = (EXAMPLES / "word_count.py").read_text()
    text = source.split('TEXT = """\\\n')[1].split('"""')[0].splitlines()
    assert parsed(run(way, "word_count.py")) == counted(text)


@WAYS
def test_word_count_from_files_into_files(way: list[str], tmp_path: Path) -> None:
    text = [f"line {number} of {number % 7}" for number in range(5000)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("\n".join(text[:3000]) + "\n")
    (tmp_path / "in" / "b.txt").write_text("\n".join(text[3000:]))
    run(way, "word_count.py", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"))
    parts = list((tmp_path / "out").glob("*/words-*.txt"))
    assert parsed([line for part in parts for line in part.read_text().splitlines()]) == counted(text)


@WAYS
def test_etl_of_its_own_orders(way: list[str]) -> None:
    assert run(way, "etl.py") == [
        "DE: 8334 paid orders, 4150590.00 in total",
        "FR: 8333 paid orders, 4158081.50 in total",
        "JP: 8333 paid orders, 4165575.50 in total",
        "US: 8334 paid orders, 4176086.50 in total",
    ]


def test_etl_of_given_orders(tmp_path: Path) -> None:
    orders = {
        "order_id": [1, 2, 3],
        "country": ["de", None, "fr"],
        "state": ["paid", "paid", "open"],
        "quantity": pa.array([2, None, 1], pa.int32()),
        "unit_price": [1.5, 1.0, 1.0],
    }
    pq.write_table(pa.table(orders), tmp_path / "orders.parquet")
    output = tmp_path / "out"
    run(BY_PYTHON, "etl.py", "--input", str(tmp_path / "orders.parquet"), "--output", str(output))
    table = ds.dataset(str(output), format="parquet").to_table().sort_by("order_id")
    assert table.to_pylist() == [
        {"order_id": 1, "country": "DE", "total": 3.0},
        {"order_id": 2, "country": None, "total": None},
    ]


@WAYS
def test_aggregate_of_its_own_events(way: list[str]) -> None:
    assert run(way, "aggregate.py") == [
        "10000 users and buckets; the five with the highest totals:",
        *(
            f"2023-11-14 22:{time} user81: 10 purchases, 1372.50, 137.25 each"
            for time in ("13:20", "13:30", "13:40", "13:50", "14:00")
        ),
    ]


def test_aggregate_of_given_events(tmp_path: Path) -> None:
    seconds = [0, 9, 10, 5]
    events = {
        "time": pa.array([second * 1000 for second in seconds], pa.timestamp("ms")),
        "user": ["a", "a", "a", "b"],
        "price": [1.0, 2.0, 4.0, 8.0],
    }
    pq.write_table(pa.table(events), tmp_path / "events.parquet")
    assert run(BY_PYTHON, "aggregate.py", "--input", str(tmp_path / "events.parquet")) == [
        "1 users and buckets; the five with the highest totals:",
        "1970-01-01 00:00:00 a: 2 purchases, 3.00, 1.50 each",
    ]


@WAYS
def test_clean_csv_of_its_own_orders(way: list[str]) -> None:
    assert run(way, "clean_csv.py") == [
        "2640 clean rows",
        "60 bad rows",
        "orders-0.csv line 19: '17,JP,7,cheap': column 'price': `cheap` is not a valid double",
        "orders-0.csv line 73: '71': 1 fields where 4 were expected",
    ]


def test_clean_csv_of_given_orders(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("id,country,quantity,price\n1,DE,2,1.5\n2,FR,0,1\n3,,3,\nx,FR,1,1\n")
    folders = ["--output", str(tmp_path / "clean"), "--bad", str(tmp_path / "bad")]
    lines = run(BY_PYTHON, "clean_csv.py", "--input", str(tmp_path / "orders.csv"), *folders)
    assert lines[:2] == ["2 clean rows", "1 bad rows"]
    assert ds.dataset(str(tmp_path / "clean"), format="parquet").to_table().sort_by("id").to_pylist() == [
        {"id": 1, "country": "DE", "quantity": 2, "price": 1.5, "total": 3.0},
        {"id": 3, "country": None, "quantity": 3, "price": None, "total": None},
    ]


def test_watch_csv_of_its_own_readings() -> None:
    assert run(BY_PYTHON, "watch_csv.py") == [f"2024-05-0{day}: 90 readings" for day in (1, 2, 3)]


@pytest.mark.parametrize("given", ["--input", "--output"])
def test_watch_csv_takes_both_folders_or_none(given: str, tmp_path: Path) -> None:
    command = [*BY_PYTHON, str(EXAMPLES / "watch_csv.py"), given, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WATCHDOG_SECONDS)
    assert done.returncode == 2
    assert "give both --input and --output, or neither" in done.stderr


@WAYS
def test_top_speed_windowing(way: list[str]) -> None:
    lines = run(way, "top_speed_windowing.py")
    events = [re.fullmatch(r"(?:\d+> )?\((\d),(\d+),([\d.]+),(\d+)\)", line) for line in lines]
    assert len(events) > 5
    assert {match[1] for match in events if match} == {"0", "1"}


@WAYS
def test_sessions(way: list[str]) -> None:
    assert sorted(line.removeprefix("1> ").removeprefix("2> ") for line in run(way, "sessions.py")) == [
        "ann: 2 clicks from second 100 to 101",
        "ann: 3 clicks from second 0 to 45",
        "bob: 1 clicks from second 5 to 5",
        "bob: 2 clicks from second 70 to 80",
    ]


@WAYS
def test_late_data_loses_nothing(way: list[str]) -> None:
    lines = run(way, "late_data.py")
    in_time = sum(int(match[1]) for line in lines if (match := re.search(r" of (\d+)$", line)))
    late = [line for line in lines if "too late" in line]
    assert (in_time, len(late)) == (58, 2)
    assert all("5000)" in line for line in late)


@WAYS
def test_the_fraud_detector_forgets_in_time(way: list[str]) -> None:
    warned = sorted(line.split("> ")[-1] for line in run(way, "fraud_detector.py"))
    assert warned == ["account A: 600.00 right after a small payment"]


@WAYS
def test_a_job_goes_on_from_a_tables_state(way: list[str], tmp_path: Path) -> None:
    pq.write_table(pa.table({"account": ["A", "B"], "cents": [10_000, 250]}), tmp_path / "balances.parquet")
    lines = [
        line.split("> ")[-1] for line in run(way, "bootstrap_state.py", "--parquet", str(tmp_path / "balances.parquet"))
    ]
    assert sorted(lines) == ["(A,10005)", "(A,10006)", "(B,0)", "(D,70)", "2 balances of 10250 cents"]


@WAYS
def test_enrich(way: list[str]) -> None:
    assert sorted(line.split("> ")[-1] for line in run(way, "enrich.py")) == [
        "anna of Austria spent 5",
        "ben of Belgium spent 2",
        "ben of Belgium spent 7",
        "chloe of Canada spent 1",
        "dora of nowhere spent 4",
    ]


@WAYS
def test_dynamic_rules(way: list[str]) -> None:
    assert sorted(line.split("> ")[-1] for line in run(way, "dynamic_rules.py")) == [
        "boiler: 2.5 bar is above 2.0 (alarm 1)",
        "oven: 180.0 celsius is above 30.0 (alarm 1)",
        "oven: 220.0 celsius is above 30.0 (alarm 2)",
    ]


@WAYS
def test_a_source_and_a_sink_of_ones_own(way: list[str]) -> None:
    lines = run(way, "sqlite_connector.py")
    cents = sum(100 * n for n in range(100_000))
    assert lines[-2:] == [f"orders 100000 {cents}", f"reduced 100000 {cents * 9 // 10}"]


@WAYS
def test_a_sink_with_a_global_committer(way: list[str]) -> None:
    assert run(way, "manifest_sink.py")[-1] == "1 manifest, 100000 rows, 100000 numbers"


@WAYS
def test_a_log_whose_partitions_are_read_at_the_same_time(way: list[str]) -> None:
    """Had all of them one watermark, that of the quietest would make readings of the others late."""
    assert run(way, "partitioned_log.py") == [
        f"{station}: {readings} readings in the hour from {hour}"
        for station, readings in (("airport", 360), ("harbor", 3600), ("summit", 60))
        for hour in ("00:00", "01:00")
    ]
