"""The OpenAPI document of the API, from the table of endpoints: `/openapi.json`."""

from __future__ import annotations

import re
from typing import Final

from shmflink.rest.endpoints import Endpoint, Query, path_parameter_schema
from shmflink.rest.router import ALL_ENDPOINTS

__all__ = ["document"]

_OF_EVERY_PATH: Final = (400, 401, 403, 413, 503)
_REASONS: Final = {
    200: "What was asked for",
    202: "It has begun",
    308: "No longer possible",
    400: "A parameter or the body is malformed",
    401: "The token is missing or wrong",
    403: "The server has another name, or a web page of another site asks",
    404: "There is no such thing",
    409: "The job or the cluster is in another state",
    413: "The body is too large",
    500: "What Flink answers where it expected nothing to fail",
    503: "The JobManager does not answer, or too much is under way",
}
_ERRORS: Final = {
    "type": "object",
    "required": ["errors"],
    "properties": {"errors": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
}

Json = dict[str, object]


def document() -> Json:
    """OpenAPI 3.1."""
    paths: dict[str, Json] = {}
    for endpoint in ALL_ENDPOINTS:
        path = re.sub(r":(\w+)", r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "shmflink REST API",
            "version": "v1/2.3",
            "description": "Flink's REST API over a session cluster. Every path may begin with /v1.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {"Errors": _ERRORS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
        "security": [{}, {"bearer": []}, {"basic": []}],
    }


def _operation(endpoint: Endpoint) -> Json:
    operation: Json = {
        "operationId": _operation_id(endpoint),
        "summary": endpoint.doc,
        "parameters": [*map(_path_parameter, endpoint.parameters), *map(_query_parameter, endpoint.query)],
        "responses": {str(status): _response(endpoint, status) for status in _statuses(endpoint)},
    }
    if endpoint.body is not None:
        schema: Json = {"type": "object", "properties": dict(endpoint.body.fields)}
        if endpoint.body.required:
            schema["required"] = list(endpoint.body.required)
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": bool(endpoint.body.required), "content": content}
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"[A-Za-z0-9]+", endpoint.path)
    return endpoint.method.lower() + "".join(word.capitalize() for word in words)


def _statuses(endpoint: Endpoint) -> list[int]:
    return sorted({*endpoint.statuses, *_OF_EVERY_PATH})


def _response(endpoint: Endpoint, status: int) -> Json:
    response: Json = {"description": _REASONS[status]}
    if status in (200, 202):
        schema: Json = {} if endpoint.content_type == "application/json" else {"type": "string"}
        kinds = [endpoint.content_type] + (["text/plain"] if _is_text(endpoint) else [])
        response["content"] = {kind: {"schema": schema} for kind in kinds}
    else:
        response["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}}
    return response


def _is_text(endpoint: Endpoint) -> bool:
    return endpoint.path.endswith(("/log", "/stdout", "/logs/:logname"))


def _path_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": path_parameter_schema(name)}


def _query_parameter(one: Query) -> Json:
    schema: Json = {"type": "integer", "maximum": 999_999_999, "minimum": 0} if one.is_number else {"type": "string"}
    if one.values and not one.is_list:
        schema["enum"] = list(one.values)
    if one.is_list:
        item: Json = {"type": "string", "pattern": "^[^,]+$"}
        if one.values:
            item["enum"] = list(one.values)
        schema = {"type": "array", "items": item, "minItems": 1}
    parameter: Json = {"name": one.name, "in": "query", "description": one.doc, "required": False, "schema": schema}
    if one.is_list:
        parameter |= {"style": "form", "explode": False}
    return parameter
