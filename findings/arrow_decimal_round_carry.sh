#!/usr/bin/env bash
# pyarrow.compute.round of a decimal column gives 0.00 where the rounded number has a digit more than the type (99.99 to
# one place in decimal128(4, 2)) and another value follows; only if it is the last value is it an error.
# cast of a decimal to more places gives a wrong number where 128 bits are too few on the way; most others are an error.
#
# Seen with pyarrow 26.0.1:
#   round([99.99, 1.00], 1) = [0.00, 1.00]
#   round([1.00, 99.99], 1): ArrowInvalid, "Rounded value 100.00 does not fit in precision of decimal128(4, 2)"
#   414200452.620956763388886695956604 as decimal128(38, 30) = 73918085.700018299925512088524835788544
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

carry, plain = Decimal("99.99"), Decimal("1.00")
rounded = pc.round(pa.array([carry, plain], pa.decimal128(4, 2)), ndigits=1).to_pylist()
print(f"pyarrow {pa.__version__}: round([{carry}, {plain}], 1) = {rounded}")
assert rounded == [Decimal("0.00"), plain], rounded
try:
    print(pc.round(pa.array([plain, carry], pa.decimal128(4, 2)), ndigits=1))
except pa.ArrowInvalid as error:
    print(f"round([{plain}, {carry}], 1): {error}")
else:
    raise SystemExit("a last value that does not fit is no error")
number = Decimal("414200452.620956763388886695956604")
[cast] = pa.array([number], pa.decimal128(38, 24)).cast(pa.decimal128(38, 30)).to_pylist()
print(f"{number} as decimal128(38, 30) = {cast}")
assert cast == Decimal("73918085.700018299925512088524835788544"), cast
PYTHON
