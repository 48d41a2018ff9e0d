"""Who may ask: names of the server, origins of web pages, tokens, sizes of bodies. Pure.

A REST server on this host can be reached by every web page that the user looks at: by a form, an image, or a name that
resolves to 127.0.0.1 for a moment. So the Host must be one of ours, and what a browser says of the page that asks must
be that it is ours. Programs do not send these headers, and need not.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from shmflink.rest.errors import RestError
from shmflink.rest.settings import RestSettings

__all__ = ["HEADERS", "check"]

_OWN_PAGE: Final = ("same-origin", "none")
"""Of Sec-Fetch-Site: a page of this server, or the user's own typing."""
HEADERS: Final[Mapping[str, str]] = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
"""Sent with every answer."""


def check(headers: Mapping[str, str], settings: RestSettings) -> None:
    """`headers` with names in lower case. RestError 400, 401, 403 or 413 if the request must not be looked at."""
    host = headers.get("host", "").lower()
    if _without_port(host) not in settings.hosts:
        raise RestError(403, f"this server is not '{host}': add the name to rest.allowed-hosts if it is")
    _check_page(headers, host, settings)
    if settings.token:
        _check_token(headers.get("authorization", ""), settings.token)
    _check_length(headers.get("content-length", "0"), settings.content_bytes_max)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and not (name.startswith("[") and not name.endswith("]")) else host


def _check_page(headers: Mapping[str, str], host: str, settings: RestSettings) -> None:
    site = headers.get("sec-fetch-site", "none")
    origin = headers.get("origin")
    own = f"{settings.scheme}://{host}"
    if site not in _OWN_PAGE or (origin is not None and origin.lower() != own):
        raise RestError(403, f"a web page of another site ({origin or site}) may not use this server")
    referer = headers.get("referer")
    if referer is not None and urlsplit(referer).netloc.lower() != host:
        raise RestError(403, "a web page of another site may not use this server")


def _check_token(authorization: str, token: str) -> None:
    scheme, _, credentials = authorization.partition(" ")
    given = credentials.strip()
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            given = ""
    elif scheme.lower() != "bearer":
        given = ""
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise RestError(401, "send the token of rest.token-file: Authorization: Bearer TOKEN")


def _check_length(text: str, limit: int) -> None:
    if not (text.isascii() and text.isdigit()):
        raise RestError(400, "Content-Length is no number")
    if len(text) > 18 or int(text) > limit:
        raise too_large(limit)


def too_large(limit: int) -> RestError:
    """413: of a body."""
    return RestError(413, f"the body is larger than {limit} bytes (rest.server.max-content-length)")
