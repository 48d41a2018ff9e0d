"""Messages are checked by type: any message round-trips unchanged, and one whose field holds anything else is refused
by an error that names the message and the field."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmflink.errors import RpcError
from shmflink.rpc import control_messages, messages
from shmflink.rpc.codec import decode, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INT64 = st.integers(-(2**63), 2**63 - 1)
KINDS = [getattr(module, name) for module in (messages, control_messages) for name in module.__all__]
KINDS = [kind for kind in dict.fromkeys(KINDS) if dataclasses.is_dataclass(kind)]
ANYTHING = [
    None, True, 7, 1.5, "text", b"bytes", (), (1, "a"), {}, {"a": 1}, messages.Shutdown(), messages.SubtaskId(1, 2),
    messages.TaskState.RUNNING,
]  # fmt: skip


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's declared type. A union's member is drawn; sequences are tuples, mappings dicts."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values_of(argument) for argument in arguments])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple and arguments[-1] is not ...:
        return st.tuples(*map(values_of, arguments))
    if origin is not None and issubclass(origin, typing.Mapping):
        return st.dictionaries(TEXT, values_of(arguments[1]), max_size=2)
    if origin is not None:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if dataclasses.is_dataclass(hint):
        return st.deferred(lambda: messages_of(hint))
    plain = {str: TEXT, int: INT64, float: st.floats(allow_nan=False, allow_infinity=False), Any: TEXT, object: TEXT}
    return plain[hint] if hint in plain else st.from_type(hint)


def messages_of(kind: Any) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{field.name: values_of(hints[field.name]) for field in dataclasses.fields(kind)})


def types_of(hint: Any) -> tuple[type, ...]:
    """The classes that a value may have at all, whatever is in it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return tuple(kind for argument in arguments for kind in types_of(argument))
    if origin is typing.Literal:
        return tuple(map(type, arguments))
    if origin is not None:
        return (dict,) if issubclass(origin, typing.Mapping) else (tuple,)
    if hint in (Any, object):
        return tuple(map(type, ANYTHING))
    return (int, float) if hint is float else (hint,)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(st.data())
def test_any_message_comes_back_equal(kind: Any, data: st.DataObject) -> None:
    message = data.draw(messages_of(kind))
    assert decode(*encode(message)) == message


@pytest.mark.parametrize("kind", [kind for kind in KINDS if dataclasses.fields(kind)], ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(st.data())
def test_what_a_field_does_not_declare_is_an_error_that_names_it(kind: Any, data: st.DataObject) -> None:
    fields = dataclasses.fields(kind)
    index = data.draw(st.integers(0, len(fields) - 1))
    declared = types_of(typing.get_type_hints(kind)[fields[index].name])
    wrong = [value for value in ANYTHING if not is_one_of(value, declared)]
    if not wrong:
        return  # the field takes anything
    value = data.draw(st.sampled_from(wrong))
    text, blobs = encode(data.draw(messages_of(kind)))
    tree = orjson.loads(text)
    tree["f"][index] = {"b": len(blobs)} if value == b"bytes" else orjson.loads(encode(value)[0])
    with pytest.raises(RpcError, match=rf"{kind.__name__}\.{fields[index].name} is a {type(value).__name__}, not "):
        decode(orjson.dumps(tree), [*blobs, b"bytes"])


def is_one_of(value: Any, declared: tuple[type, ...]) -> bool:
    """A bool is no int here; a state, which is a str, may stand for one."""
    return type(value) in declared or (isinstance(value, str) and str in declared)
