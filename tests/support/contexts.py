"""What a handler is told about its attempt, said by a test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from internal.domain.handlers import Parent


@dataclass
class AttemptContext:
    """A JobContext whose cancel a test can ask for."""

    attempt: int = 1
    attempts: int = 0
    max_attempts: int = 3
    canceled: bool = False
    type: str = "test"
    job_id: UUID = field(default_factory=uuid4)
    user_id: UUID = field(default_factory=uuid4)
    parents: Mapping[str, Parent] = field(default_factory=dict)
    reported: list[tuple[float, str | None]] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)

    def progress(self, share: float, note: str | None = None) -> None:
        self.reported.append((share, note))

    def log(self, line: object) -> None:
        self.logged.append(str(line))
