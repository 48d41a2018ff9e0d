"""What a path is: method, parameters, body, answers, handler. The routes and the OpenAPI document come from it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.rest.context import Context
from shmflink.rest.errors import bad_parameter

__all__ = ["Answer", "Body", "Call", "Endpoint", "Query", "delete", "get", "patch", "post", "put"]

_ID: Final = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)
_IDS: Final = frozenset({"jobid", "vertexid", "triggerid", "applicationid", "datasetid", "rescaleuuid"})
_NUMBERS: Final = {"subtaskindex": 2**31, "attempt": 2**31, "checkpointid": 2**63}

Json = Any


@dataclass(frozen=True, slots=True)
class Answer:
    """`body`: what becomes JSON, or bytes that are sent as they are, with this content type."""

    body: Json
    status: int = 200
    content_type: str = "application/json; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter. `values`: the ones it may have, in lower case; none: any. `is_number`: a whole number."""

    name: str
    doc: str
    values: tuple[str, ...] = ()
    is_number: bool = False
    is_list: bool = False

    def read(self, text: str) -> str:
        """The text; RestError 400 if it cannot be that of this parameter."""
        parts = text.split(",") if self.is_list else [text]
        if self.values and any(part.lower() not in self.values for part in parts):
            raise bad_parameter("query", self.name, text)
        if self.is_number and not re.fullmatch(r"-?[0-9]{1,9}", text, re.ASCII):
            raise bad_parameter("query", self.name, text)
        return text


@dataclass(frozen=True, slots=True)
class Body:
    """A JSON body. `name`: Flink's class; `fields`: name → JSON schema; others are ignored."""

    name: str
    fields: Mapping[str, Mapping[str, object]]
    required: tuple[str, ...] = ()
    names_missing: bool = False  # whether the error says which field is missing


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose parameters are valid."""

    context: Context
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def job_id(self) -> JobId:
        return JobId(self.path["jobid"])

    def number(self, name: str) -> int:
        """Of the path."""
        return int(self.path[name])


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`path` with `:name` for parameters. `statuses`: what it answers, besides those of every path."""

    method: str
    path: str
    handler: Handler
    doc: str
    statuses: tuple[int, ...] = (200,)
    query: tuple[Query, ...] = ()
    body: Body | None = None
    content_type: str = "application/json"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Of the path."""
        return tuple(part[1:] for part in self.path.split("/") if part.startswith(":"))

    @property
    def may_be_malformed(self) -> bool:
        """Whether a client can get a 400."""
        checked = any(name in _IDS or name in _NUMBERS for name in self.parameters)
        return checked or self.body is not None or any(one.values or one.is_number for one in self.query)


def checked_path_parameter(name: str, text: str) -> str:
    """In the form that handlers know; RestError 400 if it has another one."""
    if name in _IDS:
        if not _ID.fullmatch(text):
            raise bad_parameter("path", name, text)
        return text.lower()
    if name in _NUMBERS and not (text.isascii() and text.isdigit() and int(text[:20]) < _NUMBERS[name]):
        raise bad_parameter("path", name, text)
    return text


def path_parameter_schema(name: str) -> dict[str, object]:
    """For the OpenAPI document."""
    if name in _IDS:
        return {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"}
    if name in _NUMBERS:
        return {"type": "integer", "minimum": 0, "maximum": _NUMBERS[name] - 1}
    return {"type": "string", "minLength": 1, "pattern": "^[^/?#\\x00-\\x1f]+$"}


def get(path: str, handler: Handler, doc: str, *statuses: int, query: tuple[Query, ...] = ()) -> Endpoint:
    """An endpoint for reading."""
    return Endpoint("GET", path, handler, doc, statuses or (200,), query)


def post(path: str, handler: Handler, doc: str, *statuses: int, body: Body | None = None) -> Endpoint:
    """An endpoint that starts something."""
    return Endpoint("POST", path, handler, doc, statuses or (202,), (), body)


def patch(
    path: str, handler: Handler, doc: str, *statuses: int, query: tuple[Query, ...] = (), body: Body | None = None
) -> Endpoint:
    """An endpoint that changes something."""
    return Endpoint("PATCH", path, handler, doc, statuses or (202,), query, body)


def put(path: str, handler: Handler, doc: str, *statuses: int, body: Body | None = None) -> Endpoint:
    """An endpoint that replaces something."""
    return Endpoint("PUT", path, handler, doc, statuses or (200,), (), body)


def delete(path: str, handler: Handler, doc: str, *statuses: int) -> Endpoint:
    """An endpoint that ends something."""
    return Endpoint("DELETE", path, handler, doc, statuses or (200,))
