"""PyFlink's Configuration."""

from __future__ import annotations

import copy

import pytest

from shmflink.config.config_options import ConfigOptions
from shmflink.config.configuration import Configuration
from shmflink.errors import ConfigurationError


def test_values_of_each_type():
    configuration = Configuration()
    configuration.set_string("s", "x").set_integer("i", 7).set_boolean("b", True).set_float("f", 0.5)
    configuration.set_bytearray("raw", bytearray(b"\x00\xff"))
    assert configuration.get_string("s", "") == "x"
    assert configuration.get_integer("i", 0) == 7
    assert configuration.get_boolean("b", False) is True
    assert configuration.get_float("f", 0) == 0.5
    assert configuration.get_bytearray("raw", bytearray()) == bytearray(b"\x00\xff")
    assert configuration.get_integer("absent", 3) == 3


def test_a_value_of_another_type_is_named():
    with pytest.raises(ConfigurationError, match="i: 'seven' is not an integer"):
        Configuration().set_string("i", "seven").get_integer("i", 0)


def test_as_a_dictionary():
    configuration = Configuration.from_dict({"a": "1", "b": "2"})
    assert configuration.to_dict() == {"a": "1", "b": "2"}
    assert configuration.key_set() == {"a", "b"}
    assert configuration.contains_key("a")
    assert configuration.remove_config("a")
    assert not configuration.remove_config("a")
    target: dict[str, str] = {"c": "3"}
    configuration.add_all_to_dict(target)
    assert target == {"b": "2", "c": "3"}


def test_copies_are_equal_and_independent():
    first = Configuration.from_dict({"a": "1"})
    for other in (Configuration(first), copy.deepcopy(first)):
        assert other == first
        other.set_string("a", "2")
        assert first.get_string("a", "") == "1"
        assert other != first
    assert first != "a"


def test_add_all_with_and_without_prefix():
    configuration = Configuration.from_dict({"a": "1"})
    configuration.add_all(Configuration.from_dict({"b": "2"})).add_all(Configuration.from_dict({"b": "3"}), "p.")
    assert configuration.to_dict() == {"a": "1", "b": "2", "p.b": "3"}


def test_lists():
    assert Configuration.parse_list_value("a;b") == ["a", "b"]
    assert Configuration.parse_list_value("[a, b]") == ["a", "b"]
    assert Configuration.parse_list_value("") == []


def test_a_key_is_a_string():
    with pytest.raises(TypeError, match="non-empty string"):
        Configuration().set_string("", "x")


def test_config_options():
    option = ConfigOptions.key("tmp.dir").string_type().default_value("/tmp")
    assert (option.key, option.default) == ("tmp.dir", "/tmp")
    assert ConfigOptions.key("x").long_type().no_default_value().default is None
    assert ConfigOptions.key("x").float_type().default_value(1).default == 1.0
    with pytest.raises(TypeError, match="not of type bool"):
        ConfigOptions.key("x").boolean_type().default_value(1)
    with pytest.raises(TypeError, match="range"):
        ConfigOptions.key("x").int_type().default_value(2**31)
