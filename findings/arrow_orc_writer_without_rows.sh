#!/usr/bin/env bash
# pyarrow.orc.ORCWriter that is closed without a write leaves a file of no bytes, which ORCFile refuses. ParquetWriter and
# Arrow's file writer, used alike, leave files without rows that can be read and have the schema. ORCWriter has no schema
# argument; a write of a table without rows helps.
#
# Seen with pyarrow 26.0.1:
#   ORC, no write                      0 bytes    OSError, "File size too small"
#   ORC, a table without rows written  > 0 bytes  a: int64
#   Parquet, Arrow, no write           > 0 bytes  a: int64
# Exits with a status other than 0 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import io

import pyarrow as pa
from pyarrow import orc, parquet

schema = pa.schema([("a", pa.int64())])
readers = {
    "ORC": lambda file: orc.ORCFile(file).schema,
    "ORC, a table without rows written": lambda file: orc.ORCFile(file).schema,
    "Parquet": parquet.read_schema,
    "Arrow": lambda file: pa.ipc.open_file(file).schema,
}
files = {name: io.BytesIO() for name in readers}
orc.ORCWriter(files["ORC"]).close()
with orc.ORCWriter(files["ORC, a table without rows written"]) as writer:
    writer.write(schema.empty_table())
parquet.ParquetWriter(files["Parquet"], schema).close()
pa.ipc.new_file(files["Arrow"], schema).close()
seen = {}
for name, read in readers.items():
    content = files[name].getvalue()
    try:
        seen[name] = str(read(io.BytesIO(content)))
    except OSError as error:
        seen[name] = f"OSError: {error}"
    print(f"pyarrow {pa.__version__}: {name}: {len(content)} bytes; {seen[name]}")
assert not files["ORC"].getvalue()
assert seen.pop("ORC") == "OSError: File size too small", seen
assert set(seen.values()) == {"a: int64"}, seen
PYTHON
