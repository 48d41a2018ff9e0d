"""Event time (`pyflink.common.watermark_strategy`)."""

from typing import TYPE_CHECKING

from shmflink.absent import names_absent
from shmflink.core.watermark_strategy import (
    TimestampAssigner,
    WatermarkGenerator,
    WatermarkOutput,
    WatermarkStrategy,
)

__all__ = ["TimestampAssigner", "WatermarkGenerator", "WatermarkOutput", "WatermarkStrategy"]

if not TYPE_CHECKING:
    __getattr__ = names_absent(__name__)
