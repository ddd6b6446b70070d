"""Reads the config: one TOML file, checked before anything starts.

Every mistake is told in one line that names the file, the place and the right form. Secrets are fetched only when a
source is built, so that the table can be queried without them.
"""

import os
import tomllib
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from flagtrail.connector import Connector, Secret, installed
from flagtrail.errors import ConfigError
from flagtrail.lake.settings import LakeSettings
from flagtrail.limit import RESERVE
from flagtrail.mistakes import validated
from flagtrail.notices.settings import NoticeSettings, SinkSettings
from flagtrail.operating import EngineSettings, RunSettings, TelemetrySettings
from flagtrail.people import People, PersonSettings
from flagtrail.serving import ServeSettings
from flagtrail.source import Source
from flagtrail.values import Settle, Share, Span, Start, StoreUrl

VARIABLE = "FLAGTRAIL_CONFIG"
DEFAULT = "flagtrail.toml"

CORE = (
    "name",
    "start",
    "every",
    "settle",
    "parallel",
    "retention",
    "keep",
    "verify",
    "reserve",
)  # what a source is, besides its connector


class WebhookSettings(BaseModel):
    """What of a `[[source]]` is about webhooks: secrets, which are fetched when the source is built."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    webhook_secret: Annotated[tuple[Secret, ...], BeforeValidator(lambda one: one if isinstance(one, list) else [one])]


class StoreSettings(BaseModel):
    """The table `[store]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: StoreUrl = SecretStr("sqlite:///flagtrail.db")
    """sqlite:///file (relative to the config), postgresql://host/name, or { env = "NAME" } when it has a password."""


class SourceSettings(BaseModel):
    """One `[[source]]`; the keys that are not listed here are the connector's own."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """What you call it. It is part of every event's id: renaming a source starts its trail again."""
    connector: str
    """Which connector reads it; `flagtrail connectors` lists them."""
    start: Start = timedelta(days=365)
    """From when on everything is wanted: a date, an instant, or a span back from now such as 90d."""
    every: Annotated[Span, Field(ge=timedelta(seconds=1))] = timedelta(minutes=1)
    """How often `flagtrail run` looks for changes."""
    settle: Settle = timedelta(minutes=15)
    """How late the vendor may show an entry: younger time is read at every look, and not counted as covered yet."""
    parallel: Annotated[int, Field(ge=1, le=32)] = 16
    """How many windows may be read at the same time; a little work takes fewer."""
    retention: Annotated[Span, Field(ge=timedelta(days=1), le=timedelta(days=36_500))] | None = None
    """For how long the vendor keeps entries, if not for ever: older time is lost, and never counted as covered."""
    keep: Annotated[Span, Field(ge=timedelta(days=1), le=timedelta(days=36_500))] | None = None
    """For how long events are kept here, if not for ever: `flagtrail run` deletes older ones, and never reads them."""
    verify: bool = True
    """Whether `flagtrail run` compares what is covered with the vendor's own numbers, hourly to monthly."""
    reserve: Share = RESERVE
    """The share of the vendor's request limits that is left to your other tools, such as 0.2 or "20%"."""
    webhook_secret: Annotated[Any, Field(repr=False)] = None
    """What the vendor signs its webhooks with, so that they make `flagtrail run` look at once; or a list of such."""

    def __repr_args__(self) -> Any:
        """Leave out the connector's own settings: a secret may stand there by mistake."""
        return [(name, value) for name, value in super().__repr_args__() if name in SourceSettings.model_fields]

    def build(self, connectors: dict[str, type[Connector]]) -> Source:
        """Return the source, its secrets fetched; raises ConfigError with a line for each mistake."""
        where = f"source {self.name!r}"
        kind = connectors.get(self.connector)
        if kind is None:
            known = ", ".join(connectors) or "none is installed"
            raise ConfigError(f"{where}: there is no connector {self.connector!r}; installed: {known}")
        names = [*SourceSettings.model_fields, *kind.model_fields]
        core = {name: getattr(self, name) for name in CORE}
        connected = partial(validated, kind, self.model_extra or {}, where, names)
        secrets = self._webhook_secrets(kind, where)
        return Source(connector=connected(), renewal=connected, webhook_secrets=secrets, **core)

    def _webhook_secrets(self, kind: type[Connector], where: str) -> tuple[SecretStr, ...]:
        if self.webhook_secret is None:
            return ()
        if kind.nudge is Connector.nudge:
            raise ConfigError(
                f"{where}: webhook_secret: the connector {self.connector!r} knows no webhooks; leave it out"
            )
        told = {"webhook_secret": self.webhook_secret}
        return validated(WebhookSettings, told, where, []).webhook_secret


class Config(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    store: StoreSettings = StoreSettings()
    source: list[SourceSettings] = []
    person: list[PersonSettings] = []

    notice: list[NoticeSettings] = []
    sink: list[SinkSettings] = []

    @field_validator("person")
    @classmethod
    def _are_different(cls, persons: list[PersonSettings]) -> list[PersonSettings]:
        People(persons)
        return persons

    def people(self) -> People:
        """Return who goes by which names."""
        return People(self.person)

    def vendors(self) -> dict[str, str]:
        """Return the names of the sources, each with its vendor: a connector is called as its vendor is."""
        return {source.name: source.connector for source in self.source}

    serve: ServeSettings = ServeSettings()
    """How the page and the HTTP API are served."""

    run: RunSettings = RunSettings()
    engine: EngineSettings = EngineSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    lake: LakeSettings = LakeSettings()

    def sources(self, only: list[str] | None = None) -> list[Source]:
        """Return every source, or those named; raises ConfigError with a line for each mistake in any of them."""
        unknown = set(only or []) - {source.name for source in self.source}
        if unknown:
            known = ", ".join(source.name for source in self.source) or "none"
            raise ConfigError(f"there is no source {min(unknown)!r} in the config; there is: {known}")
        connectors = installed()
        built, mistakes = [], []
        for settings in self.source:
            if only and settings.name not in only:
                continue
            try:
                built.append(settings.build(connectors))
            except ConfigError as error:
                mistakes.append(str(error))
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        if not built:
            raise ConfigError("the config has no [[source]]; `flagtrail init example.toml` writes an example")
        return built


TABLES: dict[str, type[BaseModel]] = {
    "store": StoreSettings, "serve": ServeSettings, "run": RunSettings, "engine": EngineSettings,
    "telemetry": TelemetrySettings, "lake": LakeSettings,
    "person": PersonSettings, "notice": NoticeSettings, "sink": SinkSettings,
}  # fmt: skip


def config_path(given: Path | None) -> Path:
    """Return the config file to read: the one given, the one FLAGTRAIL_CONFIG names, or ./flagtrail.toml."""
    return given or Path(os.environ.get(VARIABLE) or DEFAULT)


def load(given: Path | None = None) -> Config:
    """Return the checked config; raises ConfigError with a line for each mistake."""
    path = config_path(given)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no config {path}; `flagtrail init` writes one, or name another with --config"
        ) from None
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"config {path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"config {path} is not whole TOML: {error}") from None
    config = validated(Config, raw, f"config {path}", list(Config.model_fields), TABLES)
    _check_names(config, path)
    if config.engine.kind == "procrastinate" and not config.store.url.get_secret_value().startswith("postgres"):
        needs = 'needs [store] on PostgreSQL; write url = "postgresql://host/name", or kind = "threads"'
        raise ConfigError(f'config {path}: engine.kind: "procrastinate" {needs}')
    return config


def _check_names(config: Config, path: Path) -> None:
    """Raise ConfigError when two things have one name, or a notice goes to a sink that is not there."""
    for kind, tables in (("source", config.source), ("notice", config.notice), ("sink", config.sink)):
        names = [each.name for each in tables]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ConfigError(f"config {path}: two {kind}s are called {twice!r}; give each a name of its own")
    known = [sink.name for sink in config.sink]
    for notice in config.notice:
        unknown = next((name for name in notice.to if name not in known), None)
        if unknown:
            told = f"there is no sink {unknown!r}; there is: {', '.join(known) or 'none'}"
            raise ConfigError(f"config {path}: notice {notice.name!r}: to: {told}")


def store_url(config: Config, given: Path | None = None) -> str:
    """Return the database's URL; a relative SQLite file lies beside the config, wherever the command is run from."""
    url = config.store.url.get_secret_value()
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/") and url != prefix:
        return prefix + str(config_path(given).absolute().parent / url.removeprefix(prefix))
    return url


def lake_path(config: Config, given: Path | None = None) -> str | None:
    """Return where the lake is, if the config says it; a relative folder lies beside the config."""
    path = config.lake.path
    if path is None or "://" in path:
        return path
    return str(config_path(given).absolute().parent / Path(path).expanduser())
