"""How the uploader keeps out of the way of the training beside it."""

import threading
import time

# Times as long as a portion of work had to wait it is rested after it. An upload among others that
# compute takes at most three times as long as its fair share would, and so never starves.
_REST = 2.0
_LEAST = 0.005  # seconds waited that are worth a rest
_LONGEST = 5.0  # seconds of a rest


class Pace:
    """Works in small portions that rest wherever something else has the processor.

    What a portion took beyond its own computation it waited: for a processor, which others then
    wait for too, for the disk, or for a server. Nobody rests once the command waits. As one of
    Python's finders of modules it finds none, and so parts an import of seconds into portions.
    """

    def __init__(self, waits: threading.Event) -> None:
        self._waits = waits
        self._begin()

    def rest(self) -> None:
        """End a portion of work."""
        waited = time.monotonic() - self._wall - (time.process_time() - self._own)
        if waited >= _LEAST:
            self.pause(min(_REST * waited, _LONGEST))

    def pause(self, seconds: float) -> None:
        """Do nothing for some time, or until the command waits."""
        self._waits.wait(seconds)
        self._begin()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Rest before a module is loaded."""
        self.rest()

    def _begin(self) -> None:
        self._wall, self._own = time.monotonic(), time.process_time()
