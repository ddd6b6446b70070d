"""The settings of the lake."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from flagtrail.secret import fetched
from flagtrail.when import parse_span

# Parts of the names of options.
SECRET = ("secret", "password", "token", "account_key", "access_key", "master_key", "customer_key", "sas", "credential")
OPEN = ("_id", "_file", "_uri")  # ends of names that tell whose a secret is, or where, and are none


def _span(value: Any) -> Any:
    return parse_span(value) if isinstance(value, str) else value


Span = Annotated[timedelta, BeforeValidator(_span)]


def is_secret(name: str) -> bool:
    """Return whether an option of an object store is one that nobody else may see, by its name."""
    return any(part in name.lower() for part in SECRET) and not name.lower().endswith(OPEN)


class LakeSettings(BaseModel):
    """The table `[lake]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    path: Annotated[str, Field(min_length=1)] | None = None
    """A folder (relative to the config), or a URL such as s3://bucket/flagtrail; without it no lake is kept."""
    every: Annotated[Span, Field(ge=timedelta(seconds=10), le=timedelta(days=7))] = timedelta(minutes=15)
    """How often `flagtrail run` brings it up to date."""
    compact: Annotated[int, Field(ge=2, le=10_000)] = 16
    """How many small files a month of a vendor may have before they are made into large ones."""
    vacuum: Annotated[Span, Field(ge=timedelta(0), le=timedelta(days=3650))] = timedelta(days=7)
    """For how long files are left that are no longer part of it, for whoever reads them still."""
    options: Annotated[Mapping[str, Any], Field(repr=False)] = {}
    """What the object store needs besides the environment, such as aws_region; secrets as { env = "NAME" }."""

    @field_validator("options")
    @classmethod
    def _hold_no_secret(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        for name, value in options.items():
            if not isinstance(value, str | dict):
                raise ValueError(f'{name} is no text; write it in quotes, or {{ env = "NAME" }}')  # noqa: TRY004
            if isinstance(value, str) and is_secret(name):
                raise ValueError(f'{name} is a secret, which does not stand in the config; write {{ env = "NAME" }}')
        return options

    def storage_options(self) -> dict[str, str]:
        """Return the options as the object store takes them, secrets fetched; raises ValueError."""
        told = self.options.items()
        return {name: value if isinstance(value, str) else fetched(value).get_secret_value() for name, value in told}
