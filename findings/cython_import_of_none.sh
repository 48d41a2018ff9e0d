#!/usr/bin/env bash
# A module compiled by Cython does not see that an import is blocked. Python documents that an import raises
# ModuleNotFoundError where `sys.modules` holds None for the name; the import statement of a compiled module gives None
# instead. So pyarrow, which imports pandas where it is installed and goes on without it where that raises ImportError,
# takes None for pandas: the first scalar or array of Python values is an AttributeError. A meta path finder that raises
# ModuleNotFoundError blocks both.
#
# Seen with Cython 3.1.4, and with pyarrow 26.0.1 and NumPy, pandas installed or not.
# Exits with a status other than 0 where that changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1 numpy==2.4.6 Cython==3.1.4 setuptools==80.9.0
cd "$folder"
cat >blocked.py <<'PYTHON'
def imported():
    try:
        import blocked_name
    except ImportError:
        return "ImportError"
    return blocked_name
PYTHON
cp blocked.py compiled.pyx
venv/bin/cythonize -q -i -3 compiled.pyx
venv/bin/python - <<'PYTHON'
import sys

import blocked
import compiled
import pyarrow as pa

sys.modules["blocked_name"] = None
results = blocked.imported(), compiled.imported()
sys.modules["pandas"] = None
try:
    third = str(pa.scalar(1))
except AttributeError as error:
    third = f"AttributeError: {error}"
print(f"Python: {results[0]}; Cython: {results[1]}; pyarrow {pa.__version__}: {third}")
assert results == ("ImportError", None), results
assert third == "AttributeError: 'NoneType' object has no attribute '__version__'", third
PYTHON
