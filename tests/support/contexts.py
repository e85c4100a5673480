"""What a handler is told about its attempt, said by a test."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4


@dataclass
class AttemptContext:
    """A JobContext whose cancel a test can ask for."""

    attempt: int = 1
    attempts: int = 0
    max_attempts: int = 3
    canceled: bool = False
    type: str = "test"
    job_id: UUID = field(default_factory=uuid4)
    reported: list[float] = field(default_factory=list)

    def progress(self, share: float) -> None:
        self.reported.append(share)
