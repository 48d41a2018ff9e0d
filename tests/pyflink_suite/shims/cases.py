"""Base classes of PyFlink's tests (`pyflink.testing.test_case_utils`)."""

from __future__ import annotations

import shutil
import tempfile
import unittest
from typing import Any

from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from tests.pyflink_suite.shims import Excluded


class PyFlinkTestCase(unittest.TestCase):
    """Has a temporary folder."""

    tempdir: str

    @classmethod
    def setUpClass(cls) -> None:
        cls.tempdir = tempfile.mkdtemp()

    @classmethod
    def tearDownClass(cls) -> None:
        shutil.rmtree(cls.tempdir, ignore_errors=True)


class PyFlinkITTestCase(PyFlinkTestCase):
    """Has an environment for all tests of the class, with what a test sets in it."""

    mode = RuntimeExecutionMode.STREAMING

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.env = StreamExecutionEnvironment.get_execution_environment()
        cls.env.set_parallelism(2)
        cls.env.set_runtime_mode(cls.mode)

    def tearDown(self) -> None:
        self.env.close()
        super().tearDown()


class PyFlinkStreamingTestCase(PyFlinkITTestCase):
    """In STREAMING mode."""


class PyFlinkBatchTestCase(PyFlinkITTestCase):
    """In BATCH mode."""

    mode = RuntimeExecutionMode.BATCH


class _NeedsTable(PyFlinkTestCase):
    def setUp(self) -> None:
        raise Excluded("Table API")


class _NeedsJava(PyFlinkTestCase):
    def setUp(self) -> None:
        raise Excluded("JVM: compares with Java's classes")


PyFlinkUTTestCase = PyFlinkStreamTableTestCase = PyFlinkBatchTableTestCase = _NeedsTable
PythonAPICompletenessTestCase = _NeedsJava


def run_with_config(settings: dict[str, str]) -> Any:
    """A decorator: the test runs with these settings on top."""

    def decorated(test: Any) -> Any:
        def run(self: Any) -> None:
            for key, value in settings.items():
                self.env._configuration.set_string(key, value)
            try:
                test(self)
            finally:
                for key in settings:
                    self.env._configuration.remove_config(key)

        run.__name__ = test.__name__
        return run

    return decorated


def __getattr__(name: str) -> Any:
    """`exec_insert_table`, `to_java_data_structure` and the like: there to be imported."""
    if name.startswith("__"):
        raise AttributeError(name)

    def excluded(*_: Any, **__: Any) -> Any:
        raise Excluded(f"JVM: {name}")

    return excluded
