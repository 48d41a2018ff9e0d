"""Calls of a user's coroutines beside the slot: what `AsyncDataStream` becomes."""
