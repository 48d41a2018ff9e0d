"""Calls that wait for files, in threads: the event loop waits for none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

__all__ = ["in_thread"]

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the call returns or raises. The pool of threads bounds how many run at once."""
    return await asyncio.get_running_loop().run_in_executor(None, partial(call, *args, **kwargs))
