"""Options that a program declares (`pyflink.common.config_options`)."""

from shmflink.config.config_options import ConfigOption, ConfigOptions

__all__ = ["ConfigOption", "ConfigOptions"]
