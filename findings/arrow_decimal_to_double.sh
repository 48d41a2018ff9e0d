#!/usr/bin/env bash
# pyarrow.compute.cast of a decimal to float64 is not the nearest double: 10.04 becomes 10.040000000000001, so that a
# column of decimals compared with the constant 10.04 finds nothing. The same decimals as text, cast to float64, are right.
#
# Seen with pyarrow 26.0.1: of the 10,000 prices 10.00 to 109.99 as decimal128(10, 2), 1,358 are off.
# Exits with a status other than 0 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

prices = [Decimal(cents) / 100 for cents in range(1000, 11000)]
column = pa.array(prices, pa.decimal128(10, 2))
doubles = [float(price) for price in prices]
off = sum(got != right for got, right in zip(pc.cast(column, pa.float64()).to_pylist(), doubles))
off_by_text = sum(got != right for got, right in zip(pc.cast(pc.cast(column, pa.string()), pa.float64()).to_pylist(), doubles))
found = pc.sum(pc.equal(pc.cast(column, pa.float64()), 10.04)).as_py()
print(f"pyarrow {pa.__version__}: {off} of {len(prices)} off, {off_by_text} by way of text; rows equal to 10.04: {found}")
assert (off, off_by_text, found) == (1358, 0, 0), (off, off_by_text, found)
PYTHON
