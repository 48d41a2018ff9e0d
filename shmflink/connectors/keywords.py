"""Options by keyword: an unknown one is an error that names the nearest known one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

from shmflink.errors import ConfigurationError

__all__ = ["check_keywords"]

# What other libraries call the same thing.
_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("sep", "separator", "delim", "field_delimiter", "column_separator"), ("delimiter",)),
    **dict.fromkeys(("quotechar", "quote_char"), ("quote",)),
    **dict.fromkeys(("escapechar", "escape_char"), ("escape",)),
    **dict.fromkeys(("doublequote", "double_quote"), ("double_quotes",)),
    **dict.fromkeys(("newlines_in_values", "multiline"), ("quoted_newlines",)),
    "na_rep": ("null_text",),
    **dict.fromkeys(("null_value", "nullstr", "null_literal"), ("null_text", "null_values")),
    "na_values": ("null_values",),
    **dict.fromkeys(("include_header", "has_header", "use_header"), ("header",)),
    **dict.fromkeys(("names", "new_columns"), ("column_names",)),
    **dict.fromkeys(("dtype", "dtypes", "types", "schema_overrides"), ("column_types", "schema")),
    **dict.fromkeys(("usecols", "select"), ("columns",)),
    **dict.fromkeys(("skiprows", "skip", "skip_lines"), ("skip_rows",)),
    **dict.fromkeys(("skip_rows_after_header", "skip_rows_after_names"), ("skip_data_rows",)),
    **dict.fromkeys(("comment_prefix", "comment_char"), ("comment",)),
    **dict.fromkeys(("timestampformat", "dateformat", "date_format", "timestamp_parsers"), ("timestamp_formats",)),
    **dict.fromkeys(("decimal", "decimal_separator", "decimal_comma"), ("decimal_point",)),
    **dict.fromkeys(("infer_schema_length", "sample_size", "sample_rows"), ("infer_rows",)),
    **dict.fromkeys(("ignore_errors", "ignore_parse_errors", "on_bad_lines", "invalid_row_handler"), ("on_error",)),
    **dict.fromkeys(("union_by_name", "merge_schema", "mergeSchema", "missing_columns"), ("schema_merge",)),
    **dict.fromkeys(("filename", "include_file_paths", "file_row_number", "row_index_name"), ("metadata",)),
    **dict.fromkeys(("batch_size", "chunksize", "chunk_size"), ("batch_rows",)),
    **dict.fromkeys(("partition_cols", "partition_on"), ("partition_by",)),
    "partitioning": ("partition_by", "partitions"),
    **dict.fromkeys(("hive_partitioning", "hive_types", "hive_schema"), ("partitions",)),
    "codec": ("compression",),
    "row_group_size": ("row_group_rows",),
    "use_dictionary": ("dictionary",),
    **dict.fromkeys(("existing_data_behavior", "save_mode", "if_exists", "overwrite"), ("mode",)),
    "filename_prefix": ("part_prefix",),
    "filesystem": ("file_system",),
    "encoding": ("charset",),
    "charset": ("encoding",),
}


def check_keywords(method: str, given: Iterable[str], known: Iterable[str]) -> None:
    """
    Raises:
        ConfigurationError: an option is unknown.

    >>> check_keywords("FileSink.csv()", ["compresion"], ["compression", "delimiter"])
    Traceback (most recent call last):
    shmflink.errors.ConfigurationError: FileSink.csv(): unknown option 'compresion'; did you mean 'compression'?
    """
    names = sorted(set(known))
    for name in given:
        if name in names:
            continue
        near = [each for each in _SYNONYMS.get(name, ()) if each in names] or difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(names)}"
        raise ConfigurationError(f"{method}: unknown option {name!r}{hint}")
