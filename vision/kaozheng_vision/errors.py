"""What the vision package raises."""


class VisionError(Exception):
    """A stream or picture that cannot be used; the message says what, where, and what to do next."""
