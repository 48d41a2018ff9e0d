"""Checkpoints: the coordinator as a pure state machine, the parts of a checkpoint, its storage."""

__all__: list[str] = []
