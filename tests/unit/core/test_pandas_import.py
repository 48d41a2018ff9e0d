"""pyarrow alone does not import pandas; in a program that imports pandas, pyarrow behaves as usual."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("pandas")

_BEFORE = """
import sys
from shmflink.core.pandas_import import keep_pandas_out
keep_pandas_out()
import pyarrow as pa
pa.scalar(1), pa.array([1, None]), pa.table({"a": ["x"]})
assert "pandas" not in sys.modules
"""
_SERIES = """
import pandas
assert pa.array(pandas.Series([1.5, float("nan")])).null_count == 1, "pyarrow takes a Series for a list"
import importlib.resources
assert importlib.resources.files("pandas").joinpath("__init__.py").is_file()
"""
_TO_PANDAS = """
assert pa.table({"a": [1, 2]}).to_pandas()["a"].sum() == 3
"""


@pytest.mark.parametrize("program", [_SERIES, _TO_PANDAS, _TO_PANDAS + _SERIES])
def test_a_program_that_uses_pandas_gets_it(program: str) -> None:
    subprocess.run([sys.executable, "-c", _BEFORE + program], check=True, timeout=120)


def test_a_program_that_plans_a_job_over_columns_imports_no_pandas() -> None:
    program = """
import sys
import pyarrow as pa
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.expressions import col, count
env = StreamExecutionEnvironment.get_execution_environment()
rows = env.from_arrow(pa.table({"key": pa.nulls(1, pa.int64())})).filter((col("key") > 1) | (col("key") == 7))
env = StreamExecutionEnvironment.get_execution_environment()
rows.key_by("key").aggregate(n=count()).print()
assert "pandas" not in sys.modules
assert sum(type(finder).__module__ == "shmflink.core.pandas_import" for finder in sys.meta_path) == 1
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_nothing_is_hidden_where_pandas_is_imported_already() -> None:
    subprocess.run([sys.executable, "-c", "import pandas" + _BEFORE.replace("assert", "#") + _SERIES], check=True)
