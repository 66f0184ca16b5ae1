"""What the coverage package raises."""


class CoverageError(ValueError):
    """Geometry that cannot be judged; the message says what, where, and the mend."""


class LensError(CoverageError):
    """Angles or a resolution that fit no lens."""
