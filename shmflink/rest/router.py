"""Finds the endpoint of a path, and reads what the request says. Pure, but for handlers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from shmflink.rest.context import Context
from shmflink.rest.endpoints import Body, Call, Endpoint, checked_path_parameter
from shmflink.rest.errors import RestError, bad_body, missing_field
from shmflink.rest.handlers import checkpoints, cluster, jobs, metrics, operations, refused, vertices

__all__ = ["ALL_ENDPOINTS", "Router"]

ALL_ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *cluster.ENDPOINTS,
    *jobs.ENDPOINTS,
    *vertices.ENDPOINTS,
    *checkpoints.ENDPOINTS,
    *operations.ENDPOINTS,
    *metrics.ENDPOINTS,
    *refused.ENDPOINTS,
)
_VERSION: Final = "v1"
_QUERY_FIELDS_MAX: Final = 100


class _Node:
    """What may come next in a path: words first, then a parameter."""

    def __init__(self) -> None:
        self.words: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.endpoints: dict[str, Endpoint] = {}


class Router:
    """Over all endpoints."""

    def __init__(self, endpoints: Iterable[Endpoint] = ALL_ENDPOINTS) -> None:
        self._root = _Node()
        for endpoint in endpoints:
            node = self._root
            for part in endpoint.path.strip("/").split("/"):
                if part.startswith(":"):
                    node.parameter = node.parameter or _Node()
                    node = node.parameter
                else:
                    node = node.words.setdefault(part, _Node())
            assert endpoint.method not in node.endpoints, f"{endpoint.method} {endpoint.path} twice"
            node.endpoints[endpoint.method] = endpoint

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """The endpoint, and the parameters in its path as they are. RestError 404, with Flink's words."""
        parts = [part for part in path.split("/") if part]
        if parts[:1] == [_VERSION]:
            parts = parts[1:]
        found = _walk(self._root, parts, [])
        if found is None:
            text = f"Unable to load requested file {path}." if method == "GET" else f"Not found: {path}"
            raise RestError(404, text)
        node, values = found
        endpoint = node.endpoints.get(method)
        if endpoint is None:
            raise RestError(404, f"Not found: {path.rstrip('/') or '/'}")
        return endpoint, dict(zip(endpoint.parameters, values, strict=True))

    def call(self, context: Context, found: tuple[Endpoint, Mapping[str, str]], query: bytes, body: bytes) -> Call:
        """With all parameters checked. RestError 400 for the first that is wrong."""
        endpoint, path = found
        checked = {name: checked_path_parameter(name, text) for name, text in path.items()}
        return Call(context, checked, _query(endpoint, query), _body(endpoint.body, body))


def _walk(node: _Node, parts: list[str], values: list[str]) -> tuple[_Node, list[str]] | None:
    if not parts:
        return (node, values) if node.endpoints else None
    word = node.words.get(parts[0])
    found = None if word is None else _walk(word, parts[1:], values)
    if found is None and node.parameter is not None:
        found = _walk(node.parameter, parts[1:], [*values, parts[0]])
    return found


def _query(endpoint: Endpoint, text: bytes) -> dict[str, str]:
    """The last value of each parameter; unknown ones are ignored, as Flink does."""
    known = {one.name: one for one in endpoint.query}
    try:
        fields = parse_qsl(text.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=_QUERY_FIELDS_MAX)
    except ValueError:
        raise RestError(400, f"more than {_QUERY_FIELDS_MAX} query parameters") from None
    return {name: known[name].read(value) for name, value in fields if name in known}


def _body(wanted: Body | None, text: bytes) -> Mapping[str, Any]:
    """Bodies that nobody wants are not looked at: Flink's command line sends `{}` with everything."""
    if wanted is None:
        return {}
    try:
        body = orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError:
        raise bad_body(wanted.name) from None
    if not isinstance(body, dict):
        raise bad_body(wanted.name)
    for name in wanted.required:
        if body.get(name) is None:
            raise missing_field(name) if wanted.names_missing else bad_body(wanted.name)
    for name, schema in wanted.fields.items():
        if not _fits(body.get(name), schema, is_there=name in body):
            raise bad_body(wanted.name)
    return body


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
}


def _fits(value: Any, schema: Mapping[str, object], *, is_there: bool) -> bool:
    if not is_there:
        return True
    declared = schema["type"]
    names = declared if isinstance(declared, list) else [declared]
    if not any(type(value) in _TYPES[str(name)] for name in names):
        return False
    choices = schema.get("enum")
    return not isinstance(choices, list) or value in choices
