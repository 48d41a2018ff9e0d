"""ORC under PyFlink's module name; `OrcFormat`, for reading, is *shmflink only*."""

from __future__ import annotations

from shmflink.connectors.file_system.formats.orc.format import OrcFormat
from shmflink.connectors.file_system.formats.orc.output import OrcBulkWriter, OrcBulkWriters

__all__ = ["OrcBulkWriter", "OrcBulkWriters", "OrcFormat"]
