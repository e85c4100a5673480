class EmbeddedError(Exception):
    """The server or its data directory cannot be used; the message is one line for the operator."""
