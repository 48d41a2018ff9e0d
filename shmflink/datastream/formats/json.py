"""JSON under PyFlink's module name; `JsonLinesFormat` is *shmflink only*."""

from __future__ import annotations

from shmflink.connectors.file_system.formats.json.format import JsonLinesFormat
from shmflink.connectors.formats.json import JsonRowDeserializationSchema, JsonRowSerializationSchema

__all__ = ["JsonLinesFormat", "JsonRowDeserializationSchema", "JsonRowSerializationSchema"]
