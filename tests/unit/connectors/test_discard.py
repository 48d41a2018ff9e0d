from __future__ import annotations

from oracle.driver import Driver

from shmflink.connectors.discard import DiscardSink
from shmflink.core.batch import Batch


def test_it_takes_everything_and_is_done(driver: Driver) -> None:
    writer = driver.writer(DiscardSink())
    driver.write(writer, Batch.of_rows([1, "a"]))
    driver.finish(writer)
