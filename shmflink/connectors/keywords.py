"""Options by keyword: those that nobody knows are errors that name the nearest one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

from shmflink.errors import ConfigurationError

__all__ = ["check_keywords"]

# What other libraries call the same thing.
_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "sep": ("delimiter",),
    "separator": ("delimiter",),
    "field_delimiter": ("delimiter",),
    "quotechar": ("quote",),
    "quote_char": ("quote",),
    "na_rep": ("null_text",),
    "null_value": ("null_text",),
    "include_header": ("header",),
    "has_header": ("header",),
    "partition_cols": ("partition_by",),
    "partition_on": ("partition_by",),
    "partitioning": ("partition_by",),
    "hive_partitioning": ("partitions",),
    "codec": ("compression",),
    "row_group_size": ("row_group_rows",),
    "use_dictionary": ("dictionary",),
    "existing_data_behavior": ("mode",),
    "save_mode": ("mode",),
    "if_exists": ("mode",),
    "overwrite": ("mode",),
    "filename_prefix": ("part_prefix",),
    "filesystem": ("file_system",),
    "encoding": ("charset",),
    "dtype": ("schema",),
    "dtypes": ("schema",),
}


def check_keywords(method: str, given: Iterable[str], known: Iterable[str]) -> None:
    """
    Raises:
        ConfigurationError: one that is given is not known.

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
