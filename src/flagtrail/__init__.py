"""One trail of every feature-flag change, whichever vendor made it."""

__version__ = "0.1.0"
