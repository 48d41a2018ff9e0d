"""Who is let in: programs on this host, the server's own pages, who has the token. Never a web page of another site."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from shmflink.errors import ConfigurationError
from shmflink.rest.settings import RestSettings
from shmflink.rpc.control_messages import CancelRunningJob
from tests.unit.rest.cluster import RUNNING, Server

TOKEN = "0123456789abcdefXYZ"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def guarded(token_file: Path) -> Iterator[Server]:
    made = Server({"rest.token-file": str(token_file)})
    yield made
    made.close()


@pytest.mark.parametrize("host", ["localhost:8081", "127.0.0.1:8081", "[::1]:8081", "LOCALHOST", "localhost:9999"])
def test_names_of_this_server(host: str, server: Server) -> None:
    assert server.ask("GET", "/overview", headers={"host": host})[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example:8081", "", "localhost.evil.example", "127.0.0.1.nip.io:8081", "[::1", "::1"]
)
def test_a_name_that_is_not_ours_is_refused(host: str, server: Server) -> None:
    """DNS rebinding: the page's name resolves to this host for a moment."""
    status, answer, _ = server.ask("GET", "/overview", headers={"host": host})
    assert (status, "rest.allowed-hosts" in answer["errors"][0]) == (403, True)


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:3000"},
    {"origin": "https://localhost:8081"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"referer": "http://evil.example/page"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(
    ("method", "path"), [("PATCH", f"/jobs/{RUNNING}"), ("GET", f"/jobs/{RUNNING}/yarn-cancel"), ("DELETE", "/cluster")]
)
def test_a_web_page_of_another_site_drives_nothing(
    method: str, path: str, headers: dict[str, str], server: Server
) -> None:
    assert server.ask(method, path, {}, headers)[0] == 403
    assert not [one for one in server.jobmanager.asked if isinstance(one, CancelRunningJob)]


def test_the_dashboards_own_requests_are_served(server: Server) -> None:
    headers = {
        "origin": "http://localhost:8081", "sec-fetch-site": "same-origin", "referer": "http://localhost:8081/",
    }  # fmt: skip
    assert server.ask("GET", "/jobs/overview", headers=headers)[0] == 200


def test_no_page_of_another_site_may_read_an_answer(server: Server) -> None:
    _, _, headers = server.ask("GET", "/overview")
    assert "access-control-allow-origin" not in headers
    assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")


def test_with_a_token_nothing_is_told_without_it(guarded: Server) -> None:
    for path in ("/overview", "/openapi.json", "/", "/nosuch"):
        status, _, headers = guarded.ask("GET", path)
        assert (status, headers["www-authenticate"].partition(" ")[0]) == (401, "Basic")
    assert guarded.jobmanager.asked == []


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Token {TOKEN}", "Basic !!", f"Bearer {TOKEN}x"])
def test_a_wrong_token_is_refused(given: str, guarded: Server) -> None:
    assert guarded.ask("GET", "/overview", headers={"authorization": given})[0] == 401


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", "Basic " + base64.b64encode(f"any:{TOKEN}".encode()).decode()])
def test_the_token_opens(given: str, guarded: Server) -> None:
    assert guarded.ask("GET", "/overview", headers={"authorization": given})[0] == 200


def test_a_body_that_is_too_large_is_not_read(server: Server) -> None:
    too_large = b" " * ((1 << 20) + 1)
    status, answer, _ = server.ask("POST", f"/jobs/{RUNNING}/savepoints", too_large)
    assert (status, "rest.server.max-content-length" in answer["errors"][0]) == (413, True)
    lying = {"content-length": "2"}
    assert server.ask("POST", f"/jobs/{RUNNING}/savepoints", too_large, lying)[0] == 413
    assert server.ask("GET", "/overview", headers={"content-length": "-1"})[0] == 400


def test_secrets_are_left_out(server: Server) -> None:
    server.jobmanager.configuration["jdbc.url"] = "postgres://me:hunter22@host/db"
    entries = {one["key"]: one["value"] for one in server.get("/jobmanager/config")}
    assert entries["s3.secret-key"] == "******"
    assert entries["jdbc.url"] == "postgres://me:******@host/db"
    assert entries["parallelism.default"] == "2"


# --- settings ---


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7"])
def test_other_hosts_need_a_token_and_tls(address: str, token_file: Path) -> None:
    open_to_all = {"rest.bind-address": address}
    with pytest.raises(ConfigurationError, match="so that anybody there could cancel"):
        RestSettings.of(open_to_all)
    with pytest.raises(ConfigurationError, match="so that anybody there could cancel"):
        RestSettings.of({**open_to_all, "rest.token-file": str(token_file)})
    tls = {"rest.tls.certificate": "/c.pem", "rest.tls.key": "/k.pem"}
    with pytest.raises(ConfigurationError, match="so that anybody there could cancel"):
        RestSettings.of({**open_to_all, **tls})
    assert RestSettings.of({**open_to_all, **tls, "rest.token-file": str(token_file)}).scheme == "https"


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "::1"])
def test_this_host_needs_neither(address: str) -> None:
    found = RestSettings.of({"rest.bind-address": address})
    assert (found.token, found.scheme, found.port) == ("", "http", 8081)


def test_a_token_that_others_may_read_is_none(token_file: Path) -> None:
    token_file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others may read"):
        RestSettings.of({"rest.token-file": str(token_file)})


def test_a_short_token_is_refused(token_file: Path) -> None:
    token_file.write_text("secret")
    with pytest.raises(ConfigurationError, match="has 6 characters, the least is 16"):
        RestSettings.of({"rest.token-file": str(token_file)})


def test_half_of_tls_is_none() -> None:
    with pytest.raises(ConfigurationError, match="need each other"):
        RestSettings.of({"rest.tls.key": "/k.pem"})
