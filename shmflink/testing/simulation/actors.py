"""Who can act in a schedule, and whom the seed picks next."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable, Sequence, Sized
from itertools import accumulate, chain, islice
from typing import Final, NamedTuple

from shmflink.testing.simulation.outcome import Notes

__all__ = ["ALWAYS", "Actor", "Actors"]

_WEIGHTS: Final = {"slot": 3.0, "network": 6.0, "lease": 0.1}
_TRIES: Final = 4  # of actors drawn by weight, before all are asked in turn
ALWAYS: Final = (True,)
"""`Actor.ready` of an actor that must be asked whether it has something to do."""


class Actor(NamedTuple):
    """`act` returns what it did, or something false if it had nothing to do. While `ready` is empty it has nothing."""

    name: str
    act: Callable[[], object]
    ready: Sized = ALWAYS


class Actors:
    """Each has a weight of its own: in some schedules a task, a channel or a disk is a hundred times slower."""

    def __init__(self, rng: random.Random, notes: Notes) -> None:
        self._rng = rng
        self._notes = notes
        self._actors: list[Actor] = []
        self._weights: list[float] = []

    def set(self, actors: Sequence[Actor], spread: int) -> None:
        """`spread`: how much slower a slow actor is."""
        rng = self._rng
        self._actors = list(actors)
        weights = [_WEIGHTS.get(actor.name.split()[0], 1.0) for actor in actors]
        self._weights = list(accumulate(weight / rng.choice((1, 1, 1, spread)) for weight in weights))

    def act(self) -> bool:
        """One of them acts; False if none has anything to do."""
        actors, weights, draw = self._actors, self._weights, self._rng.random
        for _ in range(_TRIES):
            actor = actors[bisect(weights, draw() * weights[-1])]
            if actor.ready and self._try(actor):
                return True
        start = int(draw() * len(actors))
        every = chain(islice(actors, start, None), islice(actors, start))
        return any(actor.ready and self._try(actor) for actor in every)

    def _try(self, actor: Actor) -> bool:
        done = actor.act()
        if done:
            self._notes.add(actor.name if done is True else f"{actor.name}: {done}")
        return bool(done)
