"""Looks up every event in a slow service, with up to a hundred requests in flight; failed requests are retried.

    shmflink run examples/enrich.py --slots 2
    python examples/enrich.py

`lookup` represents an HTTP or database client with `async` methods; open such a client in `open()`. With
`unordered_wait`, a slow answer does not delay the others; `ordered_wait` keeps the order of the events. Events whose
requests are in flight are part of each checkpoint.
"""

import asyncio

from shmflink.common import Time, Types
from shmflink.datastream import AsyncDataStream, AsyncFunction, AsyncRetryStrategy, StreamExecutionEnvironment
from shmflink.datastream.async_retry_predicates import has_exception_predicate

COUNTRIES = {"anna": "Austria", "ben": "Belgium", "chloe": "Canada"}
ASKED = set()
EVENTS = [("anna", 5), ("ben", 7), ("chloe", 1), ("dora", 4), ("ben", 2)]


async def lookup(user):
    """A service that refuses the first request about each user."""
    await asyncio.sleep(0.01)
    if user not in ASKED:
        ASKED.add(user)
        raise ConnectionError("try again")
    return COUNTRIES.get(user)


class Country(AsyncFunction):
    async def async_invoke(self, value):
        user, amount = value
        return [f"{user} of {await lookup(user) or 'nowhere'} spent {amount}"]

    def timeout(self, value):
        user, amount = value
        return [f"{user} spent {amount}"]  # no answer in time: emit the event without a country


def main():
    env = StreamExecutionEnvironment.get_execution_environment()
    events = env.from_collection(EVENTS, Types.TUPLE([Types.STRING(), Types.INT()]))
    three_times = AsyncRetryStrategy.fixed_delay(3, 20, None, has_exception_predicate)
    AsyncDataStream.unordered_wait_with_retry(
        events, Country(), Time.seconds(30), three_times, capacity=100, output_type=Types.STRING()
    ).print()
    env.execute("enrich")


if __name__ == "__main__":
    main()
