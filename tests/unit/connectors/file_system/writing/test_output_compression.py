from __future__ import annotations

import io

import pyarrow as pa
import pytest

from shmflink.connectors.file_system.writing.output_compression import (
    EXTENSIONS,
    TextCompression,
    check_compression,
    compressed,
)
from shmflink.errors import ConfigurationError


@pytest.mark.parametrize(
    ("compression", "level"), [("none", None), ("gzip", None), ("gzip", 1), ("bz2", 3), ("zstd", None), ("zstd", 7)]
)
def test_what_was_written_comes_back(compression: TextCompression, level: int | None) -> None:
    file = io.BytesIO()
    sink = compressed(file, compression, level)
    pieces = [b"first\n", b"x" * 5_000_000, b"", b"last\n"]
    for piece in pieces:
        sink.write(piece)
    sink.close()
    assert not file.closed
    content: bytes = file.getvalue()
    if compression != "none":
        assert len(content) < 100_000
        content = pa.CompressedInputStream(pa.BufferReader(content), compression).read()
    assert content == b"".join(pieces)


def test_an_empty_file_is_valid() -> None:
    for compression in ("gzip", "zstd", "bz2"):
        file = io.BytesIO()
        compressed(file, compression).close()
        assert pa.CompressedInputStream(pa.BufferReader(file.getvalue()), compression).read() == b""


def test_codecs_and_levels_are_checked() -> None:
    assert set(EXTENSIONS) == {"none", "gzip", "zstd", "bz2"}
    check_compression("zstd", 22)
    with pytest.raises(ConfigurationError, match="unknown compression `rar` of text files; one of none, gzip"):
        check_compression("rar", None)
    with pytest.raises(ConfigurationError, match="compression_level=10: gzip has levels 1 to 9"):
        check_compression("gzip", 10)
    with pytest.raises(ConfigurationError, match="compression_level=1: none has no levels"):
        check_compression("none", 1)
