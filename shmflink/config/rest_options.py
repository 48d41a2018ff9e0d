"""Options of the REST server; part of `options.OPTIONS`."""

from __future__ import annotations

from typing import Final

from shmflink.config import kinds
from shmflink.config.option import Option

__all__ = [
    "REST_ALLOWED_HOSTS",
    "REST_BIND_ADDRESS",
    "REST_CONTENT_MAX",
    "REST_DASHBOARD",
    "REST_OPTIONS",
    "REST_PORT",
    "REST_STORE_DURATION",
    "REST_TLS_CERTIFICATE",
    "REST_TLS_KEY",
    "REST_TOKEN_FILE",
    "WEB_CANCEL",
    "WEB_REFRESH_INTERVAL",
]

REST_PORT: Final = Option(
    "rest.port",
    kinds.INT,
    None,
    "Port of the REST server of a session cluster. Without it `shmflink start-cluster` starts none, and `shmflink "
    "rest` listens on 8081. 0: any free port.",
    minimum=0,
    maximum=65535,
)
REST_BIND_ADDRESS: Final = Option(
    "rest.bind-address",
    kinds.STRING,
    "localhost",
    "Address that the REST server listens on. One that other hosts reach needs rest.token-file, rest.tls.certificate "
    "and rest.tls.key.",
)
REST_ALLOWED_HOSTS: Final = Option(
    "rest.allowed-hosts",
    kinds.STRING,
    None,
    "*shmflink only.* Names under which clients may address the REST server, separated by commas, besides its address. "
    "Others are refused: a web page could use them to reach a local server.",
)
REST_TOKEN_FILE: Final = Option(
    "rest.token-file",
    kinds.STRING,
    None,
    "*shmflink only.* File with the token that clients must send (Authorization: Bearer TOKEN, or as the password of "
    "basic authentication). Only its owner may read it. Default: none is needed on this host.",
)
REST_TLS_CERTIFICATE: Final = Option(
    "rest.tls.certificate",
    kinds.STRING,
    None,
    "*shmflink only.* PEM file with the certificate chain of the REST server; it then serves HTTPS.",
)
REST_TLS_KEY: Final = Option(
    "rest.tls.key",
    kinds.STRING,
    None,
    "*shmflink only.* PEM file with the private key of rest.tls.certificate.",
)
REST_CONTENT_MAX: Final = Option(
    "rest.server.max-content-length",
    kinds.BYTES,
    1 << 20,
    "Largest body of a request, in bytes; a larger one is refused.",
    minimum=1024,
)
REST_STORE_DURATION: Final = Option(
    "rest.async.store-duration",
    kinds.DURATION,
    300_000,
    "How long the REST server remembers how a savepoint, a checkpoint or a stop ended that a client asked for.",
)
REST_DASHBOARD: Final = Option(
    "rest.dashboard",
    kinds.STRING,
    None,
    "*shmflink only.* Flink's web dashboard, to be served at /: the flink-dist JAR of the apache-flink package, or the "
    "folder web/ out of it. Default: none.",
)
WEB_REFRESH_INTERVAL: Final = Option(
    "web.refresh-interval",
    kinds.DURATION,
    3000,
    "How often the dashboard asks the REST server again.",
    minimum=1,
)
WEB_CANCEL: Final = Option(
    "web.cancel.enable",
    kinds.BOOL,
    True,
    "Whether the dashboard offers to cancel jobs.",
)

REST_OPTIONS: Final = (
    REST_PORT,
    REST_BIND_ADDRESS,
    REST_ALLOWED_HOSTS,
    REST_TOKEN_FILE,
    REST_TLS_CERTIFICATE,
    REST_TLS_KEY,
    REST_CONTENT_MAX,
    REST_STORE_DURATION,
    REST_DASHBOARD,
    WEB_REFRESH_INTERVAL,
    WEB_CANCEL,
)
