"""JSON of what has not changed since it was last asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

import orjson

__all__ = ["Rendered"]

_KEPT_MAX: Final = 64
_Source = TypeVar("_Source")


class Rendered:
    """Texts of the latest sources, bounded."""

    def __init__(self) -> None:
        self._kept: OrderedDict[object, tuple[object, bytes]] = OrderedDict()

    def of(self, key: object, source: _Source, render: Callable[[_Source], object]) -> bytes:
        """The JSON of `render(source)`; rendered again only if the source is another object than the last time."""
        kept = self._kept.get(key)
        if kept is None or kept[0] is not source:
            kept = (source, orjson.dumps(render(source)))
            self._kept[key] = kept
            if len(self._kept) > _KEPT_MAX:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return kept[1]
