"""Checkpoints: the coordinator as a pure state machine, what a checkpoint consists of, its storage."""

__all__: list[str] = []
