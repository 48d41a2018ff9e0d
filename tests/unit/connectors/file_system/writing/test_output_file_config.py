from __future__ import annotations

import pytest

from shmflink.connectors.file_system.writing.output_file_config import OutputFileConfig
from shmflink.errors import ConfigurationError


def test_names() -> None:
    assert OutputFileConfig.builder().build() == OutputFileConfig("part", "")
    config = OutputFileConfig.builder().with_part_prefix("prefix").with_part_suffix(".ext").build()
    assert (config.get_part_prefix(), config.get_part_suffix()) == ("prefix", ".ext")


@pytest.mark.parametrize("text", ["a/b", "a\0b"])
def test_no_folders_in_names(text: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be part of a file name"):
        OutputFileConfig.builder().with_part_prefix(text)
    with pytest.raises(ConfigurationError, match="cannot be part of a file name"):
        OutputFileConfig.builder().with_part_suffix(text)
