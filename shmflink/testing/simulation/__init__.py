"""Deterministic simulation: a whole job in one thread, with every delay, order and crash chosen by a seed.

Tasks, barrier alignment, chains, sinks, the checkpoint writer and coordinator, enumerators and what is restored are the
real ones. Channels, clock, disk, messages and processes are not. Imports everything below `testing`.
"""

from shmflink.testing.simulation.schedule import Outcome, Plan, run_schedule

__all__ = ["Outcome", "Plan", "run_schedule"]
