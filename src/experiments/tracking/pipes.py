"""The uploader's end of the two pipes to the command that started it.

The one closes when the command ends, in whichever way; a word that comes before is the status of
runs that the command left open, and a line before that says that it trains no more. Through the
other the uploader says how it fares: an empty line whenever something was done, and lines that
begin with one of the words below.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

DONE = "done"  # everything is uploaded
OBSTACLE = "obstacle "  # and why nothing goes on just now
REFUSED = "refused "  # and what MLflow does not take
NOTICE = "notice "  # and what else there is to tell
_TICK, _LEAST = 0.5, 0.02  # seconds between two words of loading, and computed in between
STATUSES = ("FINISHED", "FAILED", "KILLED")


class Link:
    """Hears from the command when it ends, and tells it what happens from then on."""

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink, self._obstacle = source, sink, ""
        os.set_blocking(sink, False)
        self.waits = threading.Event()  # it trains no more, which the upload would slow down
        self.closed = threading.Event()
        self.status: str | None = None
        self.since = time.monotonic()  # when something was last done, or the command ended
        threading.Thread(target=self._listen, daemon=True).start()

    def beat(self) -> None:
        """Say that something was done."""
        self._obstacle, self.since = "", time.monotonic()
        self.tell("")

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Say meanwhile that something is done, as long as this process computes."""
        over = threading.Event()

        def tick() -> None:
            before = time.process_time()
            while not over.wait(_TICK):
                if (now := time.process_time()) > before + _LEAST:
                    before = now
                    self.beat()

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def hinder(self, text: str) -> None:
        """Say why nothing goes on just now, to a command that ends later too."""
        self._obstacle = text
        self.tell(f"{OBSTACLE}{text}")

    def tell(self, line: str) -> None:
        """Tell the command, if it has ended and still listens."""
        if self.closed.is_set():
            with suppress(OSError):  # it has gone
                os.write(self._sink, f"{line[:4000]}\n".encode())

    def _listen(self) -> None:
        word = b""
        while part := os.read(self._source, 64):
            word += part
            self.waits.set()
        text = word.decode(errors="replace").strip()
        self.status = text if text in STATUSES else None
        self.since = time.monotonic()
        self.closed.set()
        self.waits.set()
        if self._obstacle:
            self.tell(f"{OBSTACLE}{self._obstacle}")
