"""What PyFlink's tests take from the JVM, as far as it can be had without one."""

from __future__ import annotations


class Excluded(Exception):  # noqa: N818  an outcome, not an error
    """The test is about something that this suite leaves out; the text says what."""
