"""A result that comes later (`pyflink.common.completable_future`)."""

from shmflink.client.completable_future import CompletableFuture

__all__ = ["CompletableFuture"]
