"""What takes too long for the event loop, done in a thread that ends with it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def in_thread(work: Callable[[], Result]) -> "Future[Result]":
    """Do it; whoever waits for the result may give up, and stops nothing."""
    future: Future[Result] = Future()
    future.set_running_or_notify_cancel()  # from here on it can't be cancelled

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - goes to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name="interlock-apart", daemon=True).start()
    return future
