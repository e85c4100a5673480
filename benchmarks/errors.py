class BenchError(Exception):
    """A measure cannot be taken; the message is one line that says why."""
