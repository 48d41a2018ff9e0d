"""Event time (`pyflink.common.watermark_strategy`)."""

from shmflink.core.watermark_strategy import TimestampAssigner, WatermarkStrategy

__all__ = ["TimestampAssigner", "WatermarkStrategy"]
