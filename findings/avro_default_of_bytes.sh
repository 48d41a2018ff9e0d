#!/usr/bin/env bash
# Avro's Python readers fill a field that a file lacks with something other than the default that the schema declares. Avro
# specifies that each character of a default of bytes or fixed, U+0000 to U+00FF, is one byte; its own example is "\u00FF".
# Apache Avro gives two bytes for it, even where a fixed has one; fastavro gives text. And neither applies the field's
# logical type to a default, so one column holds Decimals and datetimes for rows that have the field, and bytes, text and
# numbers for rows of older files.
#
# Seen with avro 1.12.2 and fastavro 1.13.1:
#   default             avro         fastavro
#   bytes    "\u00ff"   C3 BF        text
#   fixed(1) "\u00ff"   C3 BF        text
#   decimal  "\u0019"   19           text        not Decimal("0.25")
#   timestamp-millis 0  0            0           not a datetime
# Exits with a status other than 0 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q avro==1.12.2 fastavro==1.13.1
"$folder/venv/bin/python" - <<'PYTHON'
import datetime as dt
import io
import json
from decimal import Decimal

import avro.datafile
import avro.io
import avro.schema
import fastavro

ID = {"name": "id", "type": "int"}
ADDED = [
    {"name": "b", "type": "bytes", "default": "\u00ff"},
    {"name": "f", "type": {"type": "fixed", "name": "One", "size": 1}, "default": "\u00ff"},
    {
        "name": "d",
        "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
        "default": "\u0019",
    },
    {"name": "t", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0},
]
OLD = {"type": "record", "name": "Row", "fields": [ID]}
NEW = {"type": "record", "name": "Row", "fields": [ID, *ADDED]}
DECLARED = {"id": 1, "b": b"\xff", "f": b"\xff", "d": Decimal("0.25"), "t": dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)}


def written(schema, row):
    file = io.BytesIO()
    fastavro.writer(file, schema, [row])
    return file.getvalue()


def read_by_avro(content):
    [row] = avro.datafile.DataFileReader(
        io.BytesIO(content), avro.io.DatumReader(None, avro.schema.parse(json.dumps(NEW)))
    )
    return row


def read_by_fastavro(content):
    [row] = fastavro.reader(io.BytesIO(content), NEW)
    return row


wanted = {
    read_by_avro: {"id": 1, "b": b"\xc3\xbf", "f": b"\xc3\xbf", "d": b"\x19", "t": 0},
    read_by_fastavro: {"id": 1, "b": "\u00ff", "f": "\u00ff", "d": "\u0019", "t": 0},
}
for read, defaults in wanted.items():
    assert read(written(NEW, DECLARED)) == DECLARED
    seen = read(written(OLD, {"id": 1}))
    print(f"{read.__name__}: {seen}")
    assert seen == defaults, seen
PYTHON
