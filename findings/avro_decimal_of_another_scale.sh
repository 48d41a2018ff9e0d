#!/usr/bin/env bash
# Apache Avro's Python writer stores the digits of a Decimal as they are, whatever its exponent: in a decimal type of scale 2,
# Decimal("1.5") is written as 0.15, Decimal("7") as 0.07 and Decimal("1E+2") as 0.01, without an error. Avro specifies the
# bytes as the number unscaled by the scale of the schema, and fastavro writes them so. Both read each other's files alike.
#
# Seen with avro 1.12.2 and fastavro 1.13.1:
#   1.25, 1.5, 7, 1E+2 -> avro: 1.25, 0.15, 0.07, 0.01; fastavro: 1.25, 1.50, 7.00, 100.00
# Exits with a status other than 0 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q avro==1.12.2 fastavro==1.13.1
"$folder/venv/bin/python" - <<'PYTHON'
import io
import json
from decimal import Decimal

import avro.datafile
import avro.io
import avro.schema
import fastavro

PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
SCHEMA = {"type": "record", "name": "Sale", "fields": [{"name": "price", "type": PRICE}]}


def write_by_avro(rows, file):
    writer = avro.datafile.DataFileWriter(file, avro.io.DatumWriter(), avro.schema.parse(json.dumps(SCHEMA)))
    for row in rows:
        writer.append(row)
    writer.flush()


def write_by_fastavro(rows, file):
    fastavro.writer(file, SCHEMA, rows)


def read(content):
    ours = [row["price"] for row in fastavro.reader(io.BytesIO(content))]
    assert ours == [row["price"] for row in avro.datafile.DataFileReader(io.BytesIO(content), avro.io.DatumReader())]
    return [str(price) for price in ours]


prices = [Decimal(text) for text in ("1.25", "1.5", "7", "1E+2")]
seen = {}
for name, write in {"avro": write_by_avro, "fastavro": write_by_fastavro}.items():
    file = io.BytesIO()
    write([{"price": price} for price in prices], file)
    seen[name] = read(file.getvalue())
    print(f"{name}: {[str(price) for price in prices]} -> {seen[name]}")
assert seen["avro"] == ["1.25", "0.15", "0.07", "0.01"], seen
assert seen["fastavro"] == ["1.25", "1.50", "7.00", "100.00"], seen
PYTHON
