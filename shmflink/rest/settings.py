"""Where and for whom the REST server listens: the options `rest.*`, checked together."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Mapping
from typing import Final

from shmflink.config import rest_options as options
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError

__all__ = ["DEFAULT_PORT", "RestSettings"]

DEFAULT_PORT: Final = 8081
_TOKEN_CHARACTERS_MIN: Final = 16
_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class RestSettings:
    """Validated. `hosts`: names that a Host header may have, without a port. `token`: empty if none is needed."""

    address: str
    port: int
    hosts: frozenset[str]
    token: str
    certificate: str | None
    key: str | None
    content_bytes_max: int
    store_ms: int
    refresh_ms: int
    may_cancel: bool
    dashboard: str | None

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"

    @staticmethod
    def of(configuration: Mapping[str, str]) -> RestSettings:
        """ConfigurationError if options contradict each other, or would open the cluster to others."""
        address = options.REST_BIND_ADDRESS.read(configuration)
        certificate = options.REST_TLS_CERTIFICATE.read(configuration)
        key = options.REST_TLS_KEY.read(configuration)
        token_file = options.REST_TOKEN_FILE.read(configuration)
        if bool(certificate) != bool(key):
            raise ConfigurationError("rest.tls.certificate and rest.tls.key need each other")
        if not _is_loopback(address) and not (certificate and token_file):
            raise ConfigurationError(
                f"rest.bind-address: '{address}' can be reached from other hosts, so that anybody there could cancel "
                "jobs: set rest.token-file, rest.tls.certificate and rest.tls.key as well, or listen on localhost"
            )
        port = options.REST_PORT.read(configuration)
        return RestSettings(
            address,
            DEFAULT_PORT if port is None else port,
            _hosts(address, options.REST_ALLOWED_HOSTS.read(configuration) or ""),
            _token(token_file) if token_file else "",
            certificate,
            key,
            options.REST_CONTENT_MAX.read(configuration),
            options.REST_STORE_DURATION.read(configuration),
            options.WEB_REFRESH_INTERVAL.read(configuration),
            options.WEB_CANCEL.read(configuration),
            options.REST_DASHBOARD.read(configuration),
        )


def _is_loopback(address: str) -> bool:
    """A name counts if all its addresses do: what it stands for may be changed by others."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        pass
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise ConfigurationError(f"rest.bind-address: '{address}' is no address of this host: {error}") from None
    return all(ipaddress.ip_address(str(one).partition("%")[0]).is_loopback for one in found)


def _hosts(address: str, allowed: str) -> frozenset[str]:
    names = [name.strip() for name in allowed.split(",") if name.strip()]
    own = [f"[{address}]" if ":" in address else address]
    if not _is_loopback(address):
        own += [socket.gethostname(), socket.getfqdn()]
    return frozenset(name.lower() for name in (*_LOOPBACK_NAMES, *own, *names))


def _token(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
        with open(path, encoding="ascii") as file:
            token = file.read().strip()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"rest.token-file: cannot read {path}: {error}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(f"rest.token-file: others may read {path}: chmod 600 {path}")
    if len(token) < _TOKEN_CHARACTERS_MIN:
        raise ConfigurationError(
            f"rest.token-file: the token in {path} has {len(token)} characters, the least is {_TOKEN_CHARACTERS_MIN}: "
            f"head -c 24 /dev/urandom | base64 > {path}"
        )
    return token
