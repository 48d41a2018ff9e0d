"""The errors if a limit of the process is too low."""

from __future__ import annotations

import errno
import resource

import pytest

from shmflink.errors import ResourceError
from shmflink.rpc.limits import check_descriptors, descriptors_needed, system_error_text


def test_a_limit_that_is_too_low_is_named_with_what_is_needed():
    check_descriptors(16, descriptors_needed(16))
    check_descriptors(10_000, resource.RLIM_INFINITY)
    with pytest.raises(ResourceError, match=r"'ulimit -n' is 40, but a cluster of 16 TaskManagers needs 120"):
        check_descriptors(16, 40)


@pytest.mark.parametrize(
    ("number", "limit", "text"),
    [
        (errno.EMFILE, resource.RLIMIT_NOFILE, "too many open files: 'ulimit -n' is "),
        (errno.EFBIG, resource.RLIMIT_FSIZE, "'ulimit -f' allows "),
        (errno.EAGAIN, resource.RLIMIT_NPROC, "cannot start another process or thread: 'ulimit -u' is "),
    ],
)
def test_an_error_of_the_system_names_the_limit_behind_it(number, limit, text):
    assert f"{text}{resource.getrlimit(limit)[0]}" in system_error_text(OSError(number, "it"))


def test_other_errors_are_their_own_text():
    assert system_error_text(ResourceError("no space")) == "no space"
    assert system_error_text(ValueError("it")) == "ValueError: it"
