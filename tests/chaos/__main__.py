"""`python -m tests.chaos --kills 1000`: real jobs, killed again and again, whose output must not show it.

Prints a line for each run and a table at the end; exit code 1 where anything was not as it must be. A run that fails
prints its seed (`--seed S --runs 1` with the same `--jobs` and `--kinds` does the same again, as far as the machine
does) and keeps its folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import WEIGHTS, Campaign
from tests.chaos.disturbances import KINDS
from tests.chaos.run import JOBS

_OWN_MOUNTS = "SHMFLINK_CHAOS_MOUNTS"


def _has_own_mounts() -> bool:
    return os.environ.get(_OWN_MOUNTS) == os.readlink("/proc/self/ns/mnt")


def _take_own_mounts() -> None:
    """Begins again in a mount namespace of our own, so that small disks can be mounted. Needs root and unshare."""
    if _OWN_MOUNTS in os.environ or os.getuid() != 0 or shutil.which("unshare") is None:
        sys.exit("disk-full needs root and unshare: leave it out of --kinds")
    mark = f'{_OWN_MOUNTS}=$(readlink /proc/self/ns/mnt) exec "$@"'
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", mark, "sh"]
    os.execvp(command[0], [*command, sys.executable, "-m", "tests.chaos", *sys.argv[1:]])


def main() -> int:
    summary, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=summary, epilog=more)
    parser.add_argument("--kills", type=int, default=100, help="end after so many kills (%(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of the first run; the next ones count up")
    parser.add_argument("--runs", type=int, default=1_000_000, help="end after so many runs")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after so many minutes")
    parser.add_argument(
        "--jobs",
        default=",".join(name for name in JOBS if not name.endswith("_short")),
        help="which jobs, in turns (%(default)s)",
    )
    parser.add_argument("--kinds", default=",".join(WEIGHTS), help=f"of {', '.join(KINDS)} (%(default)s)")
    parser.add_argument("--folder", type=Path, default=None, help="where runs keep their files")
    arguments = parser.parse_args()
    kinds = arguments.kinds.split(",")
    if "disk-full" in kinds and not _has_own_mounts():
        _take_own_mounts()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="shmflink-chaos-"))
    seed = int.from_bytes(os.urandom(3), "little")
    campaign = Campaign(
        folder,
        arguments.seed if arguments.seed is not None else seed,
        arguments.jobs.split(","),
        kinds,
    )
    return campaign.go(arguments.kills, arguments.runs, arguments.minutes)


if __name__ == "__main__":
    sys.exit(main())
