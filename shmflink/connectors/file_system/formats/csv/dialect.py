"""The syntax of a CSV file: as the user declares it and as the native core expects it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from shmflink._core import CsvParser
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError

__all__ = ["FALSE_VALUES", "TRUE_VALUES", "CsvDialect", "ValueRules"]

TRUE_VALUES: Final = ("true", "True", "TRUE", "1")
FALSE_VALUES: Final = ("false", "False", "FALSE", "0")


@dataclass(frozen=True, slots=True)
class ValueRules:
    """How text becomes values. Text in quotes is never a null string."""

    null_values: tuple[str, ...] = ("",)
    true_values: tuple[str, ...] = TRUE_VALUES
    false_values: tuple[str, ...] = FALSE_VALUES
    timestamp_formats: tuple[str, ...] = ()
    decimal_point: str = "."

    def __post_init__(self) -> None:
        if self.decimal_point not in (".", ","):
            raise ConfigurationError(f"decimal_point: {self.decimal_point!r} is neither '.' nor ','")


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """The special characters, and how records end.

    With `quoted_newlines`, quoted text may span several lines. Without it, every line end is the end of a record, so
    that an unclosed quote spoils only one line.
    """

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    double_quotes: bool = True
    comment: str | None = None
    quoted_newlines: bool = True

    def __post_init__(self) -> None:
        taken: dict[str, str] = {}
        for name in ("delimiter", "quote", "escape", "comment"):
            character = getattr(self, name)
            if character is None and name != "delimiter":
                continue
            if not isinstance(character, str) or len(character) != 1 or not character.isascii() or character in "\r\n":
                raise ConfigurationError(f"CSV {name}: {character!r} is not one ASCII character")
            is_escape_by_doubling = name == "escape" and character == self.quote
            if character in taken and not is_escape_by_doubling:
                raise ConfigurationError(f"CSV: {character!r} cannot be both {taken[character]} and {name}")
            taken[character] = name

    @property
    def is_line_based(self) -> bool:
        """True if every line end that is not escaped ends a record."""
        return (self.quote is None or not self.quoted_newlines) and self.escape is None

    @property
    def pairs_quotes(self) -> bool:
        """True if the neighbors of any quote show whether it opens or closes."""
        return self.quote is not None and self.double_quotes and self.escape is None and self.comment is None

    def parser(self, schema: pa.Schema, sources: Sequence[int], fields: int, rules: ValueRules) -> CsvParser:
        """A parser for records with this many fields; `sources` as for `CsvParser`.

        Raises:
            ConfigurationError: CSV cannot represent a type, or a timestamp format is not supported.
        """
        escape = None if self.escape == self.quote else self.escape  # a quote that escapes a quote doubles it
        try:
            return CsvParser(
                schema,
                sources,
                fields,
                delimiter=ord(self.delimiter),
                quote=_code(self.quote),
                escape=_code(escape),
                double_quotes=self.double_quotes or escape != self.escape,
                comment=_code(self.comment),
                quoted_newlines=self.quoted_newlines,
                null_values=_encoded(rules.null_values),
                true_values=_encoded(rules.true_values),
                false_values=_encoded(rules.false_values),
                timestamp_formats=list(rules.timestamp_formats),
                decimal_point=ord(rules.decimal_point),
            )
        except ValueError as error:
            raise ConfigurationError(f"CSV: {error}") from None


def _code(character: str | None) -> int | None:
    return None if character is None else ord(character)


def _encoded(words: Sequence[Any]) -> list[bytes]:
    return [word.encode() for word in words]
