"""The environment of a program: sources, settings of the whole job, execution."""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

import pyarrow as pa

from shmflink.client.abandoned import ABANDONED
from shmflink.client.executor import (
    PlanReader,
    awaiting_results,
    current_executor,
    ending_jobs_by_signals,
    telling_errors_briefly,
)
from shmflink.config import options
from shmflink.config.configuration import Configuration
from shmflink.config.execution_config import ExecutionConfig
from shmflink.config.python_options import PYTHON_ARCHIVES, PYTHON_EXECUTABLE, PYTHON_FILES, PYTHON_REQUIREMENTS
from shmflink.connectors.base import Sink, Source
from shmflink.connectors.collect import CollectServer, CollectSink
from shmflink.connectors.collection import CollectionSource
from shmflink.core.pandas_import import keep_pandas_out
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.datastream import synonyms
from shmflink.datastream.argument_checks import check_data, checked_type, what_instead
from shmflink.datastream.checkpoint_methods import CheckpointMethods
from shmflink.datastream.collect import CloseableIterator
from shmflink.datastream.execution_mode import RuntimeExecutionMode
from shmflink.datastream.job_environment import job_environment
from shmflink.datastream.not_yet import SaysWhatIsMissing
from shmflink.datastream.operator_settings import checked_max_parallelism, checked_parallelism
from shmflink.datastream.python_dependencies import PythonDependencies, check_executable
from shmflink.datastream.reading import ReadMethods, S
from shmflink.datastream.recorder import Recorded, Recorder
from shmflink.datastream.results import plain_batches
from shmflink.datastream.stream_caches import Caching, StreamCaches
from shmflink.errors import ConfigurationError, JobGraphError
from shmflink.graph.job_graph_builder import build_job_graph
from shmflink.graph.plan import plan_as_json
from shmflink.plan.calls import Read
from shmflink.planner.checks import check_targets, check_uids, delivery_warnings
from shmflink.planner.lowering import lower
from shmflink.planner.stream_graph_builder import RuntimeMode, StreamGraphOptions, build_stream_graph

if TYPE_CHECKING:
    from shmflink.client.job_client import JobClient
    from shmflink.client.job_execution_result import JobExecutionResult
    from shmflink.config.option import Option
    from shmflink.core.batch import Batch
    from shmflink.core.types.typeinfo import TypeInformation
    from shmflink.datastream.slot_sharing_group import SlotSharingGroup
    from shmflink.graph.job_graph import JobGraph
    from shmflink.graph.stream_graph import StreamGraph
    from shmflink.plan.logical_plan import LogicalPlan

__all__ = ["Environment"]

_DEFAULT_JOB_NAME: Final = "Flink Streaming Job"

T = TypeVar("T")


class Environment(ReadMethods[S], CheckpointMethods, SaysWhatIsMissing):
    """Records a program and runs it. Every setting is a key of its configuration.

    `S`: the class of its streams. `recorder` and `caches` are for these.
    """

    MISSING: ClassVar[Mapping[str, str]] = {
        "create_input": "use from_source()",
    }
    ADVICE: ClassVar[Mapping[str, str]] = synonyms.ENVIRONMENT
    INTERNAL: ClassVar[frozenset[str]] = frozenset(("caches", "collect", "collect_batches", "recorder", "stream_of"))

    def __init__(self, configuration: Configuration) -> None:
        """Use `get_execution_environment`."""
        self._configuration = configuration
        self.recorder = Recorder(self.get_parallelism)
        self.caches = StreamCaches()
        self._dependencies = PythonDependencies()
        self._default_local_parallelism: int | None = None

    @classmethod
    def _of_this_program(cls, configuration: Configuration | None) -> Self:
        """The environment with the cluster's configuration; `configuration` overrides it."""
        telling_errors_briefly()
        keep_pandas_out()
        merged = Configuration.from_dict(dict(current_executor().configuration))
        if configuration is not None:
            options.refuse_unknown(configuration.key_set(), "get_execution_environment()")
            merged.add_all(configuration)
        return cls(merged)

    @abstractmethod
    def stream_of(self, recorded: Recorded) -> S:
        """*shmflink only.* The stream of a recorded call."""

    # --- settings ---

    def get_config(self) -> ExecutionConfig:
        """Settings of the job; a view of this environment's configuration."""
        return ExecutionConfig(self._configuration)

    def configure(self, configuration: Configuration) -> None:
        """Adopts every key of `configuration`.

        Raises:
            ConfigurationError: a key is unknown; then no key is adopted.
        """
        options.refuse_unknown(configuration.key_set(), "configure()")
        self._configuration.add_all(configuration)

    def set_parallelism(self, parallelism: int) -> Self:
        """Default parallelism of operators that are recorded from now on."""
        return self._set(options.DEFAULT_PARALLELISM, checked_parallelism(parallelism, "environment"))

    def get_parallelism(self) -> int:
        """The default parallelism; the number of slots if none is set."""
        parallelism = self._get(options.DEFAULT_PARALLELISM)
        return parallelism if parallelism is not None else self.get_default_local_parallelism()

    def set_max_parallelism(self, max_parallelism: int) -> Self:
        """Default number of key groups of operators; 1 to 32768."""
        return self._set(options.MAX_PARALLELISM, checked_max_parallelism(max_parallelism, "environment"))

    def get_max_parallelism(self) -> int:
        """The default max parallelism; -1 = derived from each operator's parallelism."""
        return self._get(options.MAX_PARALLELISM)

    def set_runtime_mode(self, execution_mode: RuntimeExecutionMode) -> Self:
        """STREAMING, BATCH or AUTOMATIC."""
        if not isinstance(execution_mode, RuntimeExecutionMode):
            raise TypeError(f"set_runtime_mode() takes a RuntimeExecutionMode, got {execution_mode!r}")
        return self._set(options.RUNTIME_MODE, execution_mode.name)

    def set_buffer_timeout(self, timeout_millis: int) -> Self:
        """How long rows may wait for their segment to fill; 0 = ship every batch, -1 = only full segments."""
        if type(timeout_millis) is not int or timeout_millis < -1:
            raise ConfigurationError(f"set_buffer_timeout(): -1, 0 or a whole number of ms, got {timeout_millis!r}")
        if timeout_millis >= 0:
            self._set(options.BUFFER_TIMEOUT, timeout_millis)
        return self._set(options.BUFFER_TIMEOUT_ENABLED, timeout_millis >= 0)

    def get_buffer_timeout(self) -> int:
        """Milliseconds; -1 = no timeout."""
        timeout_ms = self._get(options.BUFFER_TIMEOUT)
        return timeout_ms if self._get(options.BUFFER_TIMEOUT_ENABLED) else -1

    def disable_operator_chaining(self) -> Self:
        """No operators are chained: each becomes a separate task."""
        return self._set(options.CHAINING_ENABLED, False)

    def is_chaining_enabled(self) -> bool:
        """Whether operators are chained into tasks."""
        return self._get(options.CHAINING_ENABLED)

    def is_chaining_of_operators_with_different_max_parallelism_enabled(self) -> bool:
        """Whether operators of different max parallelism may be chained."""
        return self._get(options.CHAIN_DIFFERENT_MAX_PARALLELISM)

    def _set(self, option: Option[object], value: object) -> Self:
        self._configuration.set_string(option.key, option.write(value))
        return self

    def _get(self, option: Option[T]) -> T:
        return option.read(self._configuration.to_dict())

    def register_slot_sharing_group(self, slot_sharing_group: SlotSharingGroup) -> Self:
        """Accepted for compatibility with Flink: groups need no registration. A group that requests resources is
        refused.
        """
        slot_sharing_group.usable_name()
        return self

    def get_default_local_parallelism(self) -> int:
        """The default parallelism: the one set here, else the number of slots."""
        parallelism: int = self._default_local_parallelism or current_executor().default_parallelism
        return parallelism

    def set_default_local_parallelism(self, parallelism: int) -> None:
        """Default parallelism of operators that are recorded from now on."""
        self._default_local_parallelism = checked_parallelism(parallelism, "environment")

    def add_python_file(self, file_path: str) -> None:
        """A module, package folder or zip archive that functions import."""
        self._dependencies = self._dependencies.with_file(file_path)

    def set_python_requirements(self, requirements_file_path: str, requirements_cache_dir: str | None = None) -> None:
        """Packages that functions import. pip installs them when the job is submitted, once per content of the file; if
        `requirements_cache_dir` is given, only from the packages in that folder.

        They take precedence over installed packages, but not over what shmflink itself has imported.
        """
        self._dependencies = self._dependencies.with_requirements(requirements_file_path, requirements_cache_dir or "")

    def add_python_archive(self, archive_path: str, target_dir: str | None = None) -> None:
        """A zip or tar archive that functions find unpacked in their working directory, in the folder `target_dir`, by
        default the archive's name. That working directory is read-only and is not the program's.
        """
        self._dependencies = self._dependencies.with_archive(archive_path, target_dir or "")

    def set_python_executable(self, python_exec: str) -> None:
        """Accepted for compatibility with Flink: functions run in the Python that runs the program.

        Raises:
            ConfigurationError: `python_exec` is another Python.
        """
        check_executable(python_exec)

    def register_cached_file(self, file_path: str, name: str, executable: bool = False) -> None:
        """Accepted for compatibility with Flink; has no effect: all processes see this host's files."""
        if not os.path.exists(file_path.removeprefix("file://")):
            raise ConfigurationError(f"register_cached_file({name!r}): there is no '{file_path}'")

    def add_jars(self, *jars_path: str) -> None:
        """Accepted for compatibility with Flink; has no effect, because there is no JVM. Logs a note."""
        self._append("pipeline.jars", jars_path)

    def add_classpaths(self, *classpaths: str) -> None:
        """Accepted for compatibility with Flink; has no effect, because there is no JVM. Logs a note."""
        self._append("pipeline.classpaths", classpaths)

    def _append(self, key: str, values: Sequence[str]) -> None:
        before = Configuration.parse_list_value(self._configuration.get_string(key, ""))
        self._configuration.set_string(key, ";".join([*before, *values]))

    # --- sources ---

    def from_collection(self, collection: list[Any], type_info: TypeInformation | None = None) -> S:
        """A bounded stream of these elements, read by one subtask.

        Numbers are cast to `type_info` as Java casts them, as in Flink: an int out of the range of BYTE, SHORT, INT or
        LONG wraps around (300 as BYTE is 44), a float out of the range of FLOAT becomes infinite. Results of functions,
        by contrast, are checked: a number out of the declared type's range is an error.
        """
        check_data(collection, "from_collection")
        items = list(collection)
        return self._source(CollectionSource(items, checked_type(type_info)), "Collection Source", type_info)

    def from_source(
        self,
        source: Source,
        watermark_strategy: WatermarkStrategy,
        source_name: str,
        type_info: TypeInformation | None = None,
    ) -> S:
        """The elements of a source. Pass `type_info` only if the source does not know its type."""
        if not isinstance(source, Source):
            raise TypeError(f"from_source() takes a Source, {what_instead(source, 'FileSource.parquet({0})')}")
        if not isinstance(watermark_strategy, WatermarkStrategy):
            raise TypeError(f"from_source() takes a WatermarkStrategy, got {type(watermark_strategy).__name__}")
        declared = source.produced_type if checked_type(type_info) is None else type_info
        return self._source(source, source_name, declared, watermark_strategy)

    def add_source(
        self, source_func: Source, source_name: str = "Custom Source", type_info: TypeInformation | None = None
    ) -> S:
        """`from_source` without watermarks."""
        if not isinstance(source_func, Source):
            raise TypeError(f"add_source() takes a Source, {what_instead(source_func, 'FileSource.parquet({0})')}")
        return self.from_source(source_func, WatermarkStrategy.no_watermarks(), source_name, type_info)

    def _source(
        self,
        source: Source,
        name: str,
        type_info: TypeInformation | None,
        watermark_strategy: WatermarkStrategy | None = None,
    ) -> S:
        return self.stream_of(self.recorder.record(Read(source, name, type_info, watermark_strategy)))

    # --- execution ---

    def execute(self, job_name: str | None = None) -> JobExecutionResult:
        """Runs the recorded program and waits for its end. Raises JobExecutionError if the job fails."""
        with ending_jobs_by_signals():
            return self._submit(job_name).get_job_execution_result().result()

    def execute_async(self, job_name: str = _DEFAULT_JOB_NAME) -> JobClient:
        """Starts the recorded program; returns a JobClient that follows the job."""
        return self._submit(job_name)

    def get_execution_plan(self) -> str:
        """The plan as Flink's JSON: nodes with id, type, pact, contents, parallelism, predecessors."""
        return plan_as_json(self._planned(None)[1])

    def close(self) -> None:
        """Drops what was recorded and not executed, and the rows of cached streams."""
        self.recorder.clear()
        self.caches.clear()

    def _submit(self, job_name: str | None) -> JobClient:
        try:
            plan, graph, job_graph, caching = self._graphs(job_name)
        finally:
            self.recorder.clear()  # also if refused: otherwise the next job would be refused because of this one
        configuration, executor = self._configuration.to_dict(), current_executor()
        if isinstance(executor, PlanReader):  # does not check the destinations of the job's output
            return executor.submit_plan(plan, graph, job_graph)
        check_targets(plan, configuration)
        for text in delivery_warnings(plan, configuration):
            warnings.warn(text, stacklevel=3)
        client: JobClient = executor.submit(job_graph, configuration)
        for cache, folder in caching:
            cache.submitted(client, folder)
        return client

    def _graphs(self, job_name: str | None) -> tuple[LogicalPlan, StreamGraph, JobGraph, list[Caching]]:
        environment = job_environment(self._configuration.to_dict(), self._all_dependencies())
        with self.recorder.all_or_nothing():
            plan, graph = self._planned(job_name)
            caching = self.caches.begin() if graph.is_batch else []
            if caching:
                plan, graph = self._planned(job_name)
            return plan, graph, build_job_graph(graph, environment), caching

    def _planned(self, job_name: str | None) -> tuple[LogicalPlan, StreamGraph]:
        name = job_name or self._get(options.PIPELINE_NAME) or _DEFAULT_JOB_NAME
        plan = replace(self._plan(), name=name, configuration=self._configuration.to_dict())
        if not self._get(options.AUTO_GENERATE_UIDS):
            check_uids(plan)
        return plan, build_stream_graph(lower(plan), name, self._options())

    def _all_dependencies(self) -> PythonDependencies:
        """The dependencies in the configuration, and those added by methods."""
        given = [self._get(option) for option in (PYTHON_FILES, PYTHON_REQUIREMENTS, PYTHON_ARCHIVES)]
        if (executable := self._get(PYTHON_EXECUTABLE)) is not None:
            check_executable(executable)
        return PythonDependencies.configured(*given).and_those(self._dependencies)

    def _plan(self) -> LogicalPlan:
        if self.recorder.is_empty:
            raise JobGraphError(
                "No operators defined in streaming topology. Cannot execute. "
                "Call a transformation or a sink, for example print(), on a stream first"
            )
        self.caches.follow()
        return self.recorder.plan()

    def _options(self) -> StreamGraphOptions:
        max_parallelism = self.get_max_parallelism()
        return StreamGraphOptions(
            parallelism=self.get_parallelism(),
            max_parallelism=max_parallelism if max_parallelism > 0 else None,
            runtime_mode=RuntimeMode(self._get(options.RUNTIME_MODE)),
            buffer_timeout_ms=self.get_buffer_timeout(),
            is_chaining_enabled=self.is_chaining_enabled(),
            chain_different_max_parallelism=self.is_chaining_of_operators_with_different_max_parallelism_enabled(),
            is_pushdown_enabled=self._get(options.PUSHDOWN_ENABLED),
        )

    def collect(self, end: Callable[[Sink], None], job_name: str | None) -> CloseableIterator[Any]:
        """*shmflink only.* Runs the recorded program; the iterator returns the elements that reach the sink.

        `end` is called with the sink and must end a stream in it.
        """
        server, client = self._collecting(end, job_name, is_table=False)
        rows = (row for batch in _batches(server, client) for row in batch.rows())
        return _iterator(rows, server, client)

    def collect_batches(
        self,
        end: Callable[[Sink], None],
        declared: TypeInformation | None,
        job_name: str | None,
        annotations: pa.Schema,
    ) -> CloseableIterator[pa.RecordBatch]:
        """*shmflink only.* Like `collect`, but the iterator returns record batches of the type `declared`, with the
        metadata of the annotated schema."""
        server, client = self._collecting(end, job_name, is_table=True)
        batches = plain_batches((batch.columns() for batch in _batches(server, client)), declared, annotations)
        return _iterator(batches, server, client)

    def _collecting(
        self, end: Callable[[Sink], None], job_name: str | None, *, is_table: bool
    ) -> tuple[CollectServer, JobClient]:
        server = CollectServer()
        try:
            end(CollectSink(server.address, is_table=is_table))
            with awaiting_results():
                return server, self._submit(job_name)
        except BaseException:
            server.close()
            raise


def _batches(server: CollectServer, client: JobClient) -> Iterator[Batch]:
    # A job that fails before its sink runs would leave the server waiting for it.
    client.get_job_execution_result().add_done_callback(lambda _: server.end())
    yield from server.batches()
    client.get_job_execution_result().result()


def _iterator(elements: Iterator[T], server: CollectServer, client: JobClient) -> CloseableIterator[T]:
    ABANDONED.watch()
    pid = os.getpid()

    def drop() -> None:
        if os.getpid() == pid:  # after a fork the job still belongs to the parent
            ABANDONED.put(lambda: _give_up(server, client))

    return CloseableIterator(elements, lambda: _stop_collecting(server, client), drop)


def _give_up(server: CollectServer, client: JobClient) -> None:
    server.close()
    client.cancel()


def _stop_collecting(server: CollectServer, client: JobClient) -> None:
    server.close()
    if not client.get_job_execution_result().done():
        client.cancel().result()
