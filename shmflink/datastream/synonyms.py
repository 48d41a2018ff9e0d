"""What methods of streams are called elsewhere (Polars, pandas, DuckDB, Spark, Flink's Table API and Java): for errors.

Keys are in snake case; a name as Java writes it (`orderBy`) is looked up in snake case, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["CONNECTED", "ENVIRONMENT", "STREAM", "WINDOWED"]

_KEYED: Final = "it belongs to keyed streams: call key_by() first; window_all() and aggregate() need no keys"
_GROUPS: Final = "key_by() makes the groups"
_RESULTS: Final = "execute_and_collect() runs the job and gives the results"
_AGGREGATE: Final = "aggregate(n=count()) does, behind key_by() or over all rows"
_JOINS: Final = "join(other, on=...) joins columns in BATCH mode; otherwise connect() two keyed streams"
_SETS: Final = "there is no set operation but union(): connect() two keyed streams and keep state"
_ORDER: Final = "a stream has no order: to_arrow() gives a table to sort, top_n() rows"
_FILES: Final = "sink_to(FileSink.parquet(path)) writes files, and so do csv and json_lines"
_FINITE: Final = "a stream has no rows to count from: to_arrow() gives a table that has"
_DISTINCT: Final = "distinct() gives each row once"
_WINDOWS: Final = "window(...) does, behind key_by(); the windows are in shmflink.datastream.window"
_COLUMNS: Final = "with_columns(name=expression) adds and replaces columns"
_BATCHES: Final = "map_batches(function) gives a function whole record batches"
_PER_ROW: Final = "map(function) calls a function for each row, flat_map() for none or several results"
_PER_KEY: Final = "process(KeyedProcessFunction) has each key's rows and state, map_batches() whole batches"
_SCHEMA: Final = "schema has the names and Arrow types of the columns"
_RESHAPED: Final = "rows come one by one and no table is there to turn: to_arrow() gives one"
_NULLS: Final = "with_columns(x=col('x').if_null(value)) replaces nulls, filter(col('x').is_not_null) leaves them out"
_TIMESTAMPS: Final = "assign_timestamps_and_watermarks(strategy) does"
_RESULT_NAMES: Final = "sum, min, max, avg, ... are expressions: aggregate(total=col('x').sum)"

STREAM: Final[Mapping[str, str]] = {
    **dict.fromkeys(("reduce", "sum", "min", "max", "min_by", "max_by", "window", "count_window"), _KEYED),
    **dict.fromkeys(("group_by", "groupby", "partition_by"), _GROUPS),
    **dict.fromkeys(("collect", "take", "head", "first", "to_list", "to_dicts", "fetch"), _RESULTS),
    **dict.fromkeys(("agg", "count", "describe", "value_counts"), _AGGREGATE),
    **dict.fromkeys(("mean", "avg", "std", "median", "var", "quantile"), _RESULT_NAMES),
    **dict.fromkeys(("left_join", "join_asof", "lateral_join", "merge", "co_group", "interval_join"), _JOINS),
    **dict.fromkeys(("intersect", "intersect_all", "minus", "minus_all", "except_", "subtract"), _SETS),
    **dict.fromkeys(("union_all", "concat", "vstack", "append"), "union(other, ...) puts streams of one type together"),
    **dict.fromkeys(("sort", "sort_by", "order_by", "limit", "tail", "last", "offset"), _ORDER),
    **dict.fromkeys(("width", "height", "shape", "len", "with_row_index", "sample"), _FINITE),
    **dict.fromkeys(("columns", "dtypes", "collect_schema", "get_schema"), _SCHEMA),
    **dict.fromkeys(("unique", "drop_duplicates", "n_unique"), _DISTINCT),
    **dict.fromkeys(("drop_nulls", "dropna", "fillna", "fill_null"), _NULLS),
    **dict.fromkeys(("time_window", "session_window", "tumble_window", "tumble", "slide", "rolling"), _WINDOWS),
    **dict.fromkeys(("group_by_dynamic", "over", "over_window", "window_by"), _WINDOWS),
    **dict.fromkeys(("with_column", "add_columns", "add_or_replace_columns", "assign"), _COLUMNS),
    **dict.fromkeys(("drop_columns", "select_expr", "rename_columns"), "drop(), select() and rename() do"),
    **dict.fromkeys(("map_partition", "map_partitions", "pipe"), _BATCHES),
    **dict.fromkeys(("apply", "foreach", "for_each", "map_elements", "map_rows"), _PER_ROW),
    **dict.fromkeys(("map_groups", "flat_map_groups", "apply_in_pandas", "reduce_group"), _PER_KEY),
    **dict.fromkeys(("pivot", "melt", "unpivot", "transpose"), _RESHAPED),
    **dict.fromkeys(("unnest", "flatten"), "explode('column') gives a row for each element of an array"),
    **dict.fromkeys(("with_watermark", "assign_timestamps", "with_timestamp_assigner"), _TIMESTAMPS),
    **dict.fromkeys(("write_parquet", "write_csv", "write_json", "to_parquet", "to_csv", "write_as_text"), _FILES),
    **dict.fromkeys(("write_as_csv", "sink_parquet", "sink_csv", "sink_ndjson", "to_json", "write_ndjson"), _FILES),
    **dict.fromkeys(("insert_into", "execute_insert", "write_to_socket"), "sink_to(sink) writes a stream"),
    **dict.fromkeys(("queryable_state", "as_queryable_state"), "state cannot be asked for from outside: use a sink"),
    "filter_rows": "filter() keeps rows",
    "where": "filter() keeps rows",
    "fold": "aggregate(AggregateFunction) of windows, or reduce() behind key_by(), does",
    "iterate": "a job has no cycles: write to what its source reads, or keep state",
    "persist": "write it to files by sink_to(FileSink.parquet(path)), and read them by read_parquet(path)",
    "show": "print() writes rows where the job runs, to_arrow() gives them as a table",
    "split": "get_side_output(tag) of a process() that yields (tag, value) does",
}

ENVIRONMENT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("from_elements", "from_dict", "from_records", "from_dicts"), "from_collection([...]) does"),
    **dict.fromkeys(
        ("from_sequence", "generate_sequence", "range"),
        "from_source(NumberSequenceSource(start, end), WatermarkStrategy.no_watermarks(), 'numbers') does",
    ),
    **dict.fromkeys(
        ("sql", "execute_sql", "sql_query", "table", "from_table", "create_table", "create_temporary_view"),
        "Table API and SQL are not in this version: streams of columns have select(), filter(), aggregate(), top_n()",
    ),
    **dict.fromkeys(
        ("set_restart_strategy", "get_restart_strategy"),
        "set 'restart-strategy.type' in the Configuration that get_execution_environment() takes",
    ),
    **dict.fromkeys(
        ("set_state_backend", "get_state_backend"),
        "state is kept in memory here, and written incrementally to the checkpoint folder",
    ),
    **dict.fromkeys(
        ("read_avro", "read_excel", "read_file"),
        "from_source(FileSource...) reads files; read_parquet(), read_csv(), read_json_lines(), read_text() do",
    ),
    **dict.fromkeys(
        ("read_database", "read_sql", "read_kafka"),
        "from_source(source) takes a Source (shmflink.connectors.base), read_parquet() and others read files",
    ),
}

CONNECTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("join", "where", "co_group", "interval_join"),
        "join(other, on=...) of a stream joins columns; process() has both",
    ),
    **dict.fromkeys(("co_map", "apply"), "map(CoMapFunction) does, flat_map(CoFlatMapFunction), process()"),
    **dict.fromkeys(("union", "window", "filter", "select"), "call it on the streams before connect()"),
}

WINDOWED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("agg", "count", "select"), "aggregate(n=count()) does"),
    **dict.fromkeys(("sum", "min", "max", "mean", "avg", "min_by", "max_by"), _RESULT_NAMES),
    **dict.fromkeys(("group_by", "key_by"), "call key_by() on the stream before window()"),
    **dict.fromkeys(("every", "early", "late"), "trigger(...) says when a window fires, allowed_lateness(ms) how long"),
    **dict.fromkeys(("join", "co_group"), "window joins are not in this version: connect() two keyed streams"),
    "fold": "reduce() or aggregate(AggregateFunction) does",
    "map": "apply(WindowFunction) or process(ProcessWindowFunction) has the window's rows",
}
