class StartError(Exception):
    """Something that the operator can put right; the message is one line that says how."""
