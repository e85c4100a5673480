from __future__ import annotations

import os


class Pipe:
    """A pipe whose reader is a test; what it has read is in `text`."""

    def __init__(self) -> None:
        self._outlet, self.inlet = os.pipe()
        os.set_blocking(self._outlet, False)
        self.text = ""

    def read(self) -> str:
        """Take what is there."""
        while True:
            try:
                chunk = os.read(self._outlet, 65536)
            except BlockingIOError:
                return self.text
            if not chunk:
                return self.text
            self.text += chunk.decode()

    def has_line(self) -> bool:
        """Whether a whole line has come so far."""
        return self.read().endswith("\n")

    def close(self) -> None:
        os.close(self._outlet)
