"""Runs the suite and prints what passed, failed and was excluded, by file."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
import shutil
import sys
import tempfile
import traceback
import unittest
import warnings
from collections.abc import Iterator
from pathlib import Path

from shmflink.errors import JobExecutionError, UsageError
from shmflink.testing import MiniCluster
from tests.pyflink_suite.shims import Excluded, java

CASES = "pyflink_cases"
CONNECTORS = "kafka|pulsar|kinesis|rabbitmq|cassandra|elasticsearch|pubsub|dynamic_kafka"
REPLACED = (
    (r"\bpyflink\.testing\.test_case_utils\b", "tests.pyflink_suite.shims.cases"),
    (r"\bpyflink\.datastream\.tests\.test_util\b", "tests.pyflink_suite.shims.sink"),
    (r"\bpyflink\.(java_gateway|util\.java_utils|util\.utils|find_flink_home)\b", "tests.pyflink_suite.shims.java"),
    (r"\bpy4j\.(protocol|java_gateway)\b", "tests.pyflink_suite.shims.java"),
    (r"\bpyflink\.table(\.\w+)*\b(?!\.)", "tests.pyflink_suite.shims.table"),
    (rf"\bpyflink\.datastream\.connectors\.({CONNECTORS})\b", "tests.pyflink_suite.shims.java"),
    (r"\bpyflink\.((?:\w+\.)*)tests\.(\w+)", rf"{CASES}.\2"),
    (r"(?<!['\"])\bpyflink\b(?!['\"])", "shmflink"),
)
EXCLUDED_FILES = (
    (CONNECTORS, "a connector that is not in this version"),
    (r"async", "async I/O"),
    (r"test_table|sql|udf|udaf|udtf|pandas|arrow_udf|catalog|row_based|descriptor|process_table", "Table API"),
    (r"completeness|coders|boot|pb2|gateway|embedded_converters|dependency_manager", "JVM: internals of PyFlink"),
)  # fmt: skip


class Outcomes(unittest.TestResult):
    """Sorts outcomes into passed, failed and excluded."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[str] = []
        self.failed: list[tuple[str, str]] = []
        self.excluded: list[tuple[str, str]] = []

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802  unittest's name
        self.passed.append(_name(test))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802  unittest's name
        self.excluded.append((_name(test), reason))

    def addError(self, test: unittest.TestCase, err: object) -> None:  # noqa: N802  unittest's name
        _, error, trace = err  # type: ignore[misc]
        reason = _excluded(error)
        if reason is not None:
            self.excluded.append((_name(test), reason))
        else:
            text = "".join(traceback.format_exception(type(error), error, trace))
            self.failed.append((_name(test), text))

    addFailure = addError  # type: ignore[assignment]  # noqa: N815  unittest's name


def _name(test: unittest.TestCase) -> str:
    return ".".join(test.id().split(".")[-2:])


def _excluded(error: BaseException) -> str | None:
    """Why a test that raised this does not count; None where it does."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, Excluded):
            return str(seen)
        if isinstance(seen, UsageError) and "there is no JVM" in str(seen):
            return "JVM: a source or sink of Java's"
        if isinstance(seen, ImportError) and (name := re.search(r"(Kafka|Table|async I/O)", str(seen))):
            return f"{name[1]}: not in this version"
        seen = seen.__cause__ or seen.__context__
    return None


def copied(folder: Path, target: Path) -> Iterator[tuple[str, str | None]]:
    """Names of the test modules put into `target`, each with why it is left out as a whole, or None."""
    package = target / CASES
    package.mkdir()
    (package / "__init__.py").touch()
    for path in sorted(folder.rglob("test_*.py")):
        if path.stem in ("test_util", "test_case_utils"):
            continue
        text = path.read_text()
        for pattern, replacement in REPLACED:
            text = re.sub(pattern, replacement, text)
        (package / path.name).write_text(text)
        yield path.stem, next((reason for names, reason in EXCLUDED_FILES if re.search(names, path.stem)), None)


def run(module: str, only: str) -> Outcomes:
    """All tests of one module."""
    outcomes = Outcomes()
    try:
        loaded = importlib.import_module(f"{CASES}.{module}")
    except Exception as error:
        reason = _excluded(error)
        where = outcomes.failed if reason is None else outcomes.excluded
        where.append((module, reason or "".join(traceback.format_exception(error))))
        return outcomes
    for suite in unittest.defaultTestLoader.loadTestsFromModule(loaded):
        wanted = [test for test in suite if re.search(only, test.id())]  # type: ignore[union-attr]
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            unittest.TestSuite(wanted).run(outcomes)  # of one class, which is set up once
    return outcomes


def main() -> int:
    """0 where no test failed, or as many passed as were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.pyflink_suite", description=__doc__)
    parser.add_argument("--from", dest="folder", type=Path, required=True, help="folder with PyFlink's test files")
    parser.add_argument("--inline", action="store_true", help="in this process (MiniCluster), not in a cluster")
    parser.add_argument("--only", default="", help="tests whose name matches this regular expression")
    parser.add_argument("--percent", type=float, default=100.0, help="how many must pass of those not excluded")
    parser.add_argument("--brief", action="store_true", help="names of failed tests without tracebacks")
    options = parser.parse_args()
    java.install()
    java.Py4JJavaError = JobExecutionError  # type: ignore[attr-defined]  # what a failed job raises here
    target = Path(tempfile.mkdtemp())
    sys.path.insert(0, str(target))
    totals = [0, 0, 0]
    try:
        with MiniCluster(slots=8) if options.inline else contextlib.nullcontext():
            for module, reason in copied(options.folder, target):
                if reason is not None:
                    print(f"{module:<44} excluded: {reason}")
                    continue
                outcomes = run(module, options.only)
                _print(module, outcomes, brief=options.brief)
                counts = (len(outcomes.passed), len(outcomes.failed), len(outcomes.excluded))
                totals = [total + count for total, count in zip(totals, counts, strict=True)]
    finally:
        shutil.rmtree(target, ignore_errors=True)
    passed, failed, excluded = totals
    percent = 100 * passed / max(1, passed + failed)
    print(f"{passed} passed, {failed} failed ({percent:.1f} % passed), {excluded} excluded")
    return 0 if percent >= options.percent else 1


def _print(module: str, outcomes: Outcomes, *, brief: bool) -> None:
    print(
        f"{module:<44} {len(outcomes.passed)} passed, {len(outcomes.failed)} failed, {len(outcomes.excluded)} excluded"
    )
    for name, reason in outcomes.excluded:
        print(f"    excluded  {name}: {reason.splitlines()[0]}")
    for name, text in outcomes.failed:
        print(f"    FAILED    {name}: {text.strip().splitlines()[-1][:300]}")
        if not brief:
            print("        " + text.replace("\n", "\n        "))


if __name__ == "__main__":
    sys.exit(main())
