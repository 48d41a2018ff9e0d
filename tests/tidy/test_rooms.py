"""The architecture page names every existing folder of modules, and no other."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "shmflink"
PAGE = PACKAGE / "README.md"


def folders() -> set[str]:
    """Packages of Python and modules of Rust, below `shmflink/`."""
    found = {path.parent for path in PACKAGE.rglob("__init__.py")}
    found |= {path.parent for path in (PACKAGE / "_native" / "src").rglob("*.rs")}
    return {f"{folder.relative_to(PACKAGE).as_posix()}/" for folder in found} - {"./", "_native/src/"}


def named() -> set[str]:
    """What the tables of layers and of rooms name; nothing else on the page stands in a table's row with a folder."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    known = re.findall(r"`((?:[a-z_]+/)+)`", "\n".join(rows))
    return set(known) - {"_native/"}


def test_the_page_names_every_folder_of_modules() -> None:
    missing = sorted(folders() - named())
    assert not missing, f"{PAGE}: name {missing} in a table, with what is in them"


def test_the_page_names_no_folder_that_is_not_there() -> None:
    gone = sorted(named() - folders())
    assert not gone, f"{PAGE}: {gone} are not there"
