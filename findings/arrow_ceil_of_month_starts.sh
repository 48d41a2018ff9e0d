#!/usr/bin/env bash
# pyarrow.compute.ceil_temporal rounds the exact start of a month, quarter or year up to the next one, although
# `ceil_is_strictly_greater` is False by default and says that an exact boundary stays; days and weeks do stay.
#
# Seen with pyarrow 26.0.1:
#   day      2024-04-01 00:00 -> 2024-04-01    (as documented)
#   month    2024-04-01 00:00 -> 2024-05-01
#   quarter  2024-04-01 00:00 -> 2024-07-01
#   year     2024-01-01 00:00 -> 2025-01-01
# Exits with a status other than 0 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc

seen = {}
for unit, start in {"day": (2024, 4, 1), "month": (2024, 4, 1), "quarter": (2024, 4, 1), "year": (2024, 1, 1)}.items():
    exact = dt.datetime(*start)
    [ceiled] = pc.ceil_temporal(pa.array([exact]), unit=unit, ceil_is_strictly_greater=False).to_pylist()
    seen[unit] = str(ceiled.date())
    print(f"pyarrow {pa.__version__}: ceil_temporal({exact}, unit={unit!r}) = {ceiled}")
assert seen == {"day": "2024-04-01", "month": "2024-05-01", "quarter": "2024-07-01", "year": "2025-01-01"}, seen
PYTHON
