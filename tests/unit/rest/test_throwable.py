"""Failures as Java's object streams. Flink 2.3.0 has read one of this form; its bytes are kept here."""

from __future__ import annotations

import base64

from shmflink.rest.throwable import java_throwable, serialized_throwable

KIND = "java.util.concurrent.CompletionException"


def test_it_is_a_serialized_throwable_with_the_message_and_the_stack() -> None:
    found = java_throwable(KIND, f"{KIND}: no space\n\tat here")
    assert found.startswith(
        b"\xac\xed\x00\x05sr\x00)org.apache.flink.util.SerializedThrowable\x65\x16\x9d\xf5\x1f\xa7\x13\xf3"
    )
    first = f"{KIND}: no space".encode()
    assert b"t" + len(first).to_bytes(2, "big") + first in found
    whole = first + b"\n\tat here\n"
    assert found.endswith(b"t" + len(whole).to_bytes(2, "big") + whole + b"t\x00(" + KIND.encode() + b"p")


def test_texts_of_any_length_and_any_characters() -> None:
    found = java_throwable(KIND, "\0 ä 😀")
    assert b"\xc0\x80 \xc3\xa4 \xed\xa0\xbd\xed\xb8\x80" in found
    long = "y" * 70_000
    assert b"|" + (70_001).to_bytes(8, "big") + long.encode() + b"\n" in java_throwable(KIND, long)


def test_a_cause_is_bounded() -> None:
    cause = serialized_throwable(KIND, "x" * 1_000_000)
    assert len(str(cause["stack-trace"])) < 70_000
    assert "characters left out" in str(cause["stack-trace"])
    assert base64.b64decode(str(cause["serialized-throwable"])).startswith(b"\xac\xed")
