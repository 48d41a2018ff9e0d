"""Where settings come from: a file, the variable SHMFLINK_PROPERTIES, the command line; later ones win."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from shmflink.config.files import load_file, load_text
from shmflink.config.options import OPTIONS, validate
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError

__all__ = ["PROPERTIES_VARIABLE", "SENSITIVE", "Setting", "gathered", "shown_value"]

PROPERTIES_VARIABLE: Final = "SHMFLINK_PROPERTIES"
SENSITIVE: Final = ("password", "secret", "apikey", "api-key", "auth-params", "service-key", "token", "basic-auth")
"""Words in the keys of options whose values are not shown; Flink's `GlobalConfiguration`."""
_HIDDEN: Final = "******"


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that somebody has set. `source`: a file's path, `$SHMFLINK_PROPERTIES`, or `command line`."""

    text: str
    source: str


def gathered(file: str | None, properties: str | None, arguments: Sequence[tuple[str, str]]) -> dict[str, Setting]:
    """Every setting by the key of its option. `properties`: lines of YAML, as Flink's containers take them. An older
    key of an option counts as its present one. ConfigurationError for invalid ones.
    """
    found: dict[str, Setting] = {}
    if file is not None:
        _take(found, load_file(file), file)
    if properties is not None and properties.strip():
        source = f"${PROPERTIES_VARIABLE}"
        _take(found, load_text(properties, source), source)
    _take(found, dict(arguments), "command line")
    validate({key: setting.text for key, setting in found.items()}, _where(file, properties))
    return found


def _take(found: dict[str, Setting], settings: Mapping[str, str], source: str) -> None:
    if not settings:
        return
    present = {old: option.key for option in OPTIONS.values() for old in option.old_keys}
    for key, text in settings.items():
        if key in present and present[key] in settings:
            raise ConfigurationError(f"{source}: '{key}' is the former name of '{present[key]}': set only one of them")
        found[present.get(key, key)] = Setting(text, source)


def _where(file: str | None, properties: str | None) -> str:
    parts = [file, f"${PROPERTIES_VARIABLE}" if properties else None, "command line"]
    return " and ".join(part for part in parts if part)


def shown_value(key: str, text: str) -> str:
    """The value, or stars where the key says that it is a secret."""
    return _HIDDEN if any(word in key.lower() for word in SENSITIVE) else text
