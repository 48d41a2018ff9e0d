"""Names of side outputs (`pyflink.datastream.output_tag`)."""

from __future__ import annotations

from shmflink.core.types.typeinfo import RowTypeInfo, TypeInformation, Types

__all__ = ["OutputTag"]


class OutputTag:
    """Names a side output and declares the type of its elements.

    `type_info` is a type, or a list of types for `Row`s; without it elements are any Python objects.
    """

    def __init__(self, tag_id: str, type_info: TypeInformation | list[TypeInformation] | None = None) -> None:
        if not tag_id:
            raise ValueError("OutputTag tag_id cannot be None or empty string")
        if type_info is not None and not isinstance(type_info, (list, TypeInformation)):
            raise TypeError("OutputTag type_info must be None, list or TypeInformation")
        self.tag_id = tag_id
        self._declared = RowTypeInfo(type_info) if isinstance(type_info, list) else type_info

    @property
    def type_info(self) -> TypeInformation:
        """The declared type; `Types.PICKLED_BYTE_ARRAY()` if none was given."""
        return self._declared if self._declared is not None else Types.PICKLED_BYTE_ARRAY()

    @property
    def declared_type(self) -> TypeInformation | None:
        """*shmflink only.* The type as it was given."""
        return self._declared

    def __repr__(self) -> str:
        return f"OutputTag({self.tag_id!r}, {self.type_info})"
