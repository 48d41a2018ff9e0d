"""Where the kernel counts out-of-memory kills, in every layout of cgroups."""

from __future__ import annotations

from pathlib import Path

import pytest

from shmflink.jobmanager.oom_kills import oom_kill_files, oom_kills

V2 = "29 23 0:26 / {root} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "32 25 0:29 {below} {root}/memory rw - cgroup cgroup rw,memory\n30 25 0:27 / {root}/cpu rw - cgroup cgroup rw,cpu\n"
)


def layout(folder: Path, cgroup: str, mounts: str, file: str, content: str) -> tuple[str, str]:
    (folder / "cgroup").write_text(cgroup)
    (folder / "mountinfo").write_text(mounts)
    counted = folder / file
    counted.parent.mkdir(parents=True)
    counted.write_text(content)
    return str(folder / "cgroup"), str(folder / "mountinfo")


@pytest.mark.parametrize(
    ("cgroup", "mounts", "file"),
    [
        ("0::/system.slice/a.service\n", V2, "fs/system.slice/a.service/memory.events"),
        ("0::/\n", V2, "fs/memory.events"),
        ("4:memory:/user\n1:cpu:/\n0::/\n", V1, "fs/memory/user/memory.oom_control"),
        ("4:cpu,memory:/user\n", V1, "fs/memory/user/memory.oom_control"),
        ("4:memory:/docker/7/inner\n", V1.replace("{below}", "/docker/7"), "fs/memory/inner/memory.oom_control"),
    ],
    ids=["unit", "namespace", "version 1", "controllers together", "container"],
)
def test_the_processs_own_cgroup_is_read(tmp_path, cgroup, mounts, file):
    mounts = mounts.format(root=tmp_path / "fs", below="/")
    files = layout(tmp_path, cgroup, mounts, file, "low 0\noom 9\noom_kill 3\noom_group_kill 0\n")
    assert oom_kills(*files) == 3


def test_both_versions_at_once_are_told_apart_by_who_counts(tmp_path: Path) -> None:
    mounts = V1.format(root=tmp_path / "fs", below="/") + V2.format(root=tmp_path / "fs" / "unified")
    files = layout(tmp_path, "4:memory:/a\n0::/a\n", mounts, "fs/memory/a/memory.oom_control", "oom_kill 2\n")
    assert [Path(file).name for file in oom_kill_files(*files)] == ["memory.oom_control", "memory.events"]
    assert oom_kills(*files) == 2


def test_without_a_cgroup_the_host_counts() -> None:
    assert oom_kills("/nowhere", "/nowhere") >= 0
