"""What the README shows, run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SHMFLINK = Path(sys.executable).with_name("shmflink")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_the_program_counts_words(tmp_path: Path) -> None:
    [program] = blocks("python")
    path = tmp_path / "words.py"
    path.write_text(program)
    done = subprocess.run(
        [SHMFLINK, "run", path, "--slots", "2"], capture_output=True, text=True, check=True, timeout=120
    )
    counts = sorted(line.split("> ")[1] for line in done.stdout.splitlines())
    assert counts == ["(be,2)", "(is,1)", "(not,1)", "(or,1)", "(question,1)", "(that,1)", "(the,1)", "(to,2)"]


def test_the_drawn_plan_is_what_info_prints() -> None:
    drawn = next(block for block in blocks("text") if block.startswith("word count"))
    done = subprocess.run(
        [SHMFLINK, "info", "examples/word_count.py", "--slots", "2"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=ROOT,
    )
    assert drawn.strip() in done.stdout


def test_the_commands_are_the_first_two_shell_blocks() -> None:
    install_and_run, install_and_test = blocks("sh")[:2]
    assert "shmflink run examples/word_count.py" in install_and_run
    assert "pytest" in install_and_test
