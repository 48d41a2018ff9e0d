"""How output files are named (PyFlink: OutputFileConfig)."""

from __future__ import annotations

from typing import Any, ClassVar

from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError

__all__ = ["OutputFileConfig", "OutputFileConfigBuilder"]


@dataclass(frozen=True, slots=True)
class OutputFileConfig:
    """The prefix and suffix of a file's name, around its unique part."""

    part_prefix: str = "part"
    part_suffix: str = ""

    OutputFileConfigBuilder: ClassVar[Any]

    @staticmethod
    def builder() -> _Builder:
        return _Builder()

    def get_part_prefix(self) -> str:
        """What a file's name begins with."""
        return self.part_prefix

    def get_part_suffix(self) -> str:
        """What a file's name ends with."""
        return self.part_suffix


class _Builder:
    """Builds an OutputFileConfig."""

    def __init__(self) -> None:
        self._prefix = "part"
        self._suffix = ""

    def with_part_prefix(self, prefix: str) -> _Builder:
        """The beginning of the file names; `part` by default."""
        self._prefix = _name_part(prefix)
        return self

    def with_part_suffix(self, suffix: str) -> _Builder:
        """The end of the file names; empty by default."""
        self._suffix = _name_part(suffix)
        return self

    def build(self) -> OutputFileConfig:
        return OutputFileConfig(self._prefix, self._suffix)


OutputFileConfigBuilder = _Builder
OutputFileConfig.OutputFileConfigBuilder = OutputFileConfigBuilder


def _name_part(text: str) -> str:
    if "/" in text or "\0" in text:
        raise ConfigurationError(f"{text!r} cannot be part of a file name")
    return text
