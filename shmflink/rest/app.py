"""The ASGI application: checks each request, finds its endpoint, calls it, writes its answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from shmflink.errors import ConfigurationError
from shmflink.rest import security
from shmflink.rest.context import Context
from shmflink.rest.dashboard import Dashboard
from shmflink.rest.endpoints import Answer
from shmflink.rest.errors import RestError, internal
from shmflink.rest.openapi import document
from shmflink.rest.router import Router

__all__ = ["application"]

_LOG: Final = logging.getLogger(__name__)
_JSON: Final = "application/json; charset=UTF-8"
_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"]
_STATIC: Final = {"cache-control": "private, max-age=300"}


class _Server:
    def __init__(self, context: Context, dashboard: Dashboard | None) -> None:
        self._context = context
        self._dashboard = dashboard
        self._router = Router()
        self._document = orjson.dumps(document())

    async def __call__(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except RestError as error:
            return _error(request, error)
        except ClientDisconnect:
            return Response(status_code=400)
        except ConfigurationError as error:  # of a job: its options contradict each other
            return _error(request, internal(str(error)))
        except Exception as error:  # a bug of ours fails the request alone
            _LOG.exception("%s %s", request.method, request.url.path)
            return _error(request, internal(f"{type(error).__name__}: {error}"))

    async def _answer(self, request: Request) -> Response:
        settings = self._context.settings
        security.check(_headers(request), settings)
        path = request.scope["path"]
        static = self._static(request.method, path)
        if static is not None:
            return static
        found = self._router.find(request.method, path)
        body = await _body(request, settings.content_bytes_max)
        call = self._router.call(self._context, found, request.scope["query_string"], body)
        return _response(await found[0].handler(call))

    def _static(self, method: str, path: str) -> Response | None:
        """The OpenAPI document, and files of the dashboard."""
        if method != "GET":
            return None
        if path == "/openapi.json":
            return Response(self._document, headers={**security.HEADERS, "content-type": _JSON})
        file = None if self._dashboard is None else self._dashboard.file(path)
        if file is None:
            return None
        content, kind = file
        return Response(content, headers={**security.HEADERS, **_STATIC, "content-type": kind})


def application(context: Context, dashboard: Dashboard | None = None) -> Starlette:
    """Serves one cluster."""
    return Starlette(routes=[Route("/{path:path}", _endpoint(_Server(context, dashboard)), methods=_METHODS)])


def _endpoint(server: _Server) -> Callable[[Request], Awaitable[Response]]:
    """Starlette takes coroutine functions of a request."""

    async def endpoint(request: Request) -> Response:
        return await server(request)

    return endpoint


def _headers(request: Request) -> Mapping[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}


async def _body(request: Request, limit: int) -> bytes:
    """RestError 413 as soon as more has come."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise security.too_large(limit)
        parts.append(part)
    return b"".join(parts)


def _response(answer: Answer) -> Response:
    content = answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)
    headers = {**security.HEADERS, "cache-control": "no-store", "content-type": answer.content_type}
    return Response(content, answer.status, headers)


def _error(request: Request, error: RestError) -> Response:
    content = b"" if request.method == "HEAD" else orjson.dumps({"errors": list(error.texts)})
    headers = {**security.HEADERS, "content-type": _JSON}
    if error.status == 401:
        headers["www-authenticate"] = 'Basic realm="shmflink", charset="UTF-8"'
    return Response(content, error.status, headers)
