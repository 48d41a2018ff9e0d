"""Apache Flink's model for one large Linux host, from Python, on Arrow memory.

Users import `shmflink.datastream` and `shmflink.common` (PyFlink's names) and `shmflink.testing`.
This file imports next to nothing, so that the command line starts fast; `README.md` beside it is the map of the
packages.
"""

from shmflink.absent import ABSENT as _ABSENT  # from here on imports of what is not there say why

__version__ = "0.1.0"
__all__ = ["__version__"]

del _ABSENT
