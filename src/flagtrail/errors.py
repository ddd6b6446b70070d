"""Every error that flagtrail raises on purpose, grouped by what happens next.

FlagtrailError
├── ConfigError             the config is wrong: nothing starts until a person changes it
├── StoreError              the database cannot be used: nothing is read, so nothing is lost
│   └── TooSlow             a question takes longer than it may: it is asked again for less
├── LakeError               the lake cannot be read or written: the trail itself goes on without it
├── Held                    the trail is on hold: nothing is deleted or pseudonymised until that ends
└── SourceError             one source, or one stream of it, cannot be read; the others carry on
    ├── AccessDenied        the vendor refuses us: skipped until its settings change
    ├── Unavailable         the vendor cannot be reached or is down: tried again at the next tick
    │   └── RateLimited     the vendor asks us to slow down: tried again at the next tick
    └── UnexpectedResponse  an answer that is not understood: its window stays uncovered, and is reported
        └── Redirected      the vendor points somewhere else; never followed by itself

Each message is one line for a person and says what to do.
"""


class FlagtrailError(Exception):
    """Anything that flagtrail can explain to a person in one line."""


class ConfigError(FlagtrailError):
    """The config is wrong; the message names the file, the setting and the right form."""


class StoreError(FlagtrailError):
    """The database cannot be opened, read or written."""


class TooSlow(StoreError):
    """A question takes the database longer than whoever asks may let it work."""


class LakeError(FlagtrailError):
    """The lake cannot be read or written; what was not written is written the next time."""


class Held(FlagtrailError):
    """The trail is on hold, so that nothing of it may be deleted or pseudonymised."""


class SourceError(FlagtrailError):
    """A vendor could not be read; what was stored stays, what is missing stays a gap."""


class AccessDenied(SourceError):
    """The vendor refuses this credential, scope or plan (401, 403) or does not show the thing asked for (404)."""

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


class Unavailable(SourceError):
    """The vendor cannot be reached, is too slow, answers 5xx, or cuts its answer off."""


class RateLimited(Unavailable):
    """The vendor answers 429; `retry_after` is its wish in seconds, or None when it does not say."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnexpectedResponse(SourceError):
    """An answer arrived and cannot be trusted, so it proves nothing."""


class Redirected(UnexpectedResponse):
    """The vendor answers with a redirect; `location` is its path on the same host, or None when it leads elsewhere."""

    def __init__(self, message: str, location: str | None) -> None:
        super().__init__(message)
        self.location = location
