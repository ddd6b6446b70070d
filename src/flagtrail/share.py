"""Says how much of something there is, for people."""


def percent(share: float) -> str:
    """Return a share from 0 to 1 for people, never rounded up to the whole."""
    return f"{int(share * 1000) / 10:g} %"
