"""The name of a session cluster belongs to one process."""

from __future__ import annotations

import pytest

from shmflink.errors import UsageError
from shmflink.jobmanager.session_door import claim_name


def test_a_name_has_one_owner_as_long_as_that_lives() -> None:
    name = "a name that is longer than the name of a socket may be " * 4
    folders = ["/nowhere"]
    with claim_name(name, folders), pytest.raises(UsageError, match="is already running: stop it"):
        claim_name(name, folders)
    claim_name(name, folders).close()


def test_names_of_other_folders_are_other_names() -> None:
    with claim_name("default", ["/nowhere"]), claim_name("default", ["/elsewhere"]), claim_name("other", ["/nowhere"]):
        pass
