"""Notices when the machine itself stalls, because other programs use its disk and processors."""

import os
import threading
import time

PAUSE = 0.1
# The server gives a change 1.2 seconds, in which it may wait for two commits.
STALL = 0.5


class Machine(threading.Thread):
    """Writes to a file again and again, and waits for the disk as a commit does."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.file = (folder / "probe").open("wb", buffering=0)
        self.stalls = []
        self.since = time.monotonic()
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            time.sleep(PAUSE)
            self.file.seek(0)
            self.file.write(os.urandom(8192))
            os.fsync(self.file.fileno())
            start, self.since = self.since, time.monotonic()
            if self.since - start > PAUSE + STALL:
                self.stalls.append((start, self.since))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.file.close()

    @property
    def total(self):
        """The number of stalls, and their seconds."""
        return {"stalls": len(self.stalls), "seconds": round(sum(end - start for start, end in self.stalls))}

    def stalled(self, start, end):
        """Whether it stalled in that time, or still does."""
        now, since = time.monotonic(), self.since
        last = [*self.stalls[-20:], *([(since, now)] if now - since > PAUSE + STALL else [])]
        return any(one <= end and start <= other for one, other in last)
