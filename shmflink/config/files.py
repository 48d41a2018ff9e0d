"""Configuration files: YAML with nested or dotted keys; the documented sample of all options."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final

from shmflink.config.option import Option
from shmflink.config.options import OPTIONS, validate
from shmflink.errors import ConfigurationError

__all__ = ["FILE_BYTES_MAX", "flatten", "load_file", "load_text", "sample_file"]

FILE_BYTES_MAX: Final = 1 << 20


def load_file(path: str) -> dict[str, str]:
    """The validated settings of a YAML file; a ConfigurationError names the file and the fault."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration file {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not valid YAML: {error}") from None
    return load_text(text, path)


def load_text(text: str, where: str) -> dict[str, str]:
    """The validated settings of a YAML text; a ConfigurationError names `where` it is from, and the fault."""
    import yaml  # takes 15 ms: import it only if there is a file

    if len(text) > FILE_BYTES_MAX:
        raise ConfigurationError(f"{where}: larger than {FILE_BYTES_MAX} bytes; this is not a configuration file")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{where} is not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"{where}: expected 'key: value' lines, got a {type(content).__name__}")
    settings = flatten(content, where)
    validate(settings, where)
    return settings


def flatten(content: dict[Any, Any], where: str) -> dict[str, str]:
    """Flattens nested maps into dotted keys and text values; a duplicate key is a ConfigurationError.

    If a key is itself an option (`pipeline.global-job-parameters`), a map below it is the option's value.
    """
    settings: dict[str, str] = {}
    for key, value in _flat(content, ""):
        if key in settings:
            raise ConfigurationError(f"{where}: '{key}' is set twice")
        settings[key] = value
    return settings


def _flat(content: dict[Any, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key in OPTIONS:
            yield key, ",".join(f"{k}:{_scalar(v)}" for k, v in value.items())
        elif isinstance(value, dict):
            yield from _flat(value, f"{key}.")
        elif isinstance(value, list):
            yield key, ";".join(_scalar(item) for item in value)
        elif value is not None:
            yield key, _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def sample_file() -> str:
    """The text of `configs/shmflink.yaml`: every option at its default, with its documentation."""
    head = (
        "# Every option of shmflink at its default. Uncomment those that you change.\n"
        "# Read by `shmflink run --config FILE`, or as shmflink.yaml in the folder $SHMFLINK_CONF_DIR.\n"
        "# Lines in $SHMFLINK_PROPERTIES win over the file, -D over both.\n"
        "# Keys may be nested or dotted. Durations: 200 ms, 10 s, 3 min. Sizes: 256 kb, 64 mb, 1 gb.\n"
    )
    return head + "".join(f"\n{_documented(option)}" for option in OPTIONS.values())


def _documented(option: Option[object]) -> str:
    doc = "\n".join(textwrap.wrap(option.doc, 96, initial_indent="# ", subsequent_indent="# "))
    value = "" if option.default is None else f" {option.write(option.default)}"
    return f"{doc}\n# {option.key}:{value}\n"
