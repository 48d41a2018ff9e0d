"""Runs a user's coroutines outside the slot's thread: the operators behind `AsyncDataStream`."""
