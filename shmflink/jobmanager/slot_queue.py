"""Describes why a job waits for slots. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["waiting_text"]

_SHOWN_MAX: Final = 5


def waiting_text(name: str, needed: int, total: int, holders: Sequence[tuple[str, str, int]], ahead: int) -> str:
    """A message for people. `holders`: name, id and slots of each job that holds slots; `ahead`: the number of jobs
    that will be served before this one.
    """
    held = sum(slots for _, _, slots in holders)
    text = f"Job '{name}' waits for {_counted(needed, 'slot')}: {max(total - held, 0)} of {total} are free"
    if holders:
        shown = [f"'{holder}' ({job_id}) has {slots}" for holder, job_id, slots in holders[:_SHOWN_MAX]]
        if len(holders) > len(shown):
            shown.append(f"{_counted(len(holders) - len(shown), 'job')} more")
        text += f"; {', '.join(shown)}"
    if ahead:
        text += f"; {_counted(ahead, 'job')} {'waits' if ahead == 1 else 'wait'} before it"
    if holders:
        text += ". It starts when they end; cancel one, or run it on more slots"
    return text


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
