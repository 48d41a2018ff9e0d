from __future__ import annotations

import pytest

from shmflink.connectors.file_system.writing.buckets import BucketAssigner
from shmflink.errors import ConfigurationError

NOW_MS = 1_700_000_000_000  # 2023-11-14 22:13:20 UTC


def test_the_base_path_is_one_bucket() -> None:
    assert BucketAssigner.base_path_bucket_assigner().bucket_of(NOW_MS) == ""


@pytest.mark.parametrize(
    ("pattern", "zone", "bucket"),
    [
        ("yyyy-MM-dd--HH", "UTC", "2023-11-14--22"),
        ("yyyy-MM-dd--HH", "GMT-08:00", "2023-11-14--14"),
        ("yyyy/MM/dd/'hour='HH", "Europe/Berlin", "2023/11/14/hour=23"),
        ("HHmmss'%'", "+01", "231320%"),
    ],
)
def test_one_folder_per_unit_of_time(pattern: str, zone: str, bucket: str) -> None:
    assert BucketAssigner.date_time_bucket_assigner(pattern, zone).bucket_of(NOW_MS) == bucket


def test_time_moves_on() -> None:
    buckets = BucketAssigner.date_time_bucket_assigner(timezone_id="UTC")
    assert buckets.bucket_of(NOW_MS) == "2023-11-14--22"
    assert buckets.bucket_of(NOW_MS + 3_600_000) == "2023-11-14--23"


@pytest.mark.parametrize(
    ("pattern", "zone", "message"),
    [
        ("yyyy-QQ", None, "`QQ` is not one of"),
        ("yyyy'open", None, "a quote is not closed"),
        ("yyyy", "Mars/Olympus", "unknown time zone `Mars/Olympus`"),
    ],
)
def test_what_cannot_be_understood(pattern: str, zone: str | None, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        BucketAssigner.date_time_bucket_assigner(pattern, zone)
