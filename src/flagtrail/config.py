"""Reads the config: one TOML file, checked before anything starts.

Every mistake is told in one line that names the file, the place and the right form. Secrets are fetched only when a
source is built, so that the table can be queried without them.
"""

import difflib
import os
import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from flagtrail.connector import Connector, Secret, installed
from flagtrail.errors import ConfigError
from flagtrail.lake.settings import LakeSettings
from flagtrail.limit import RESERVE
from flagtrail.notices.settings import NoticeSettings, SinkSettings
from flagtrail.operating import EngineSettings, RunSettings, TelemetrySettings
from flagtrail.people import People, PersonSettings
from flagtrail.serving import ServeSettings
from flagtrail.source import Source
from flagtrail.when import MOMENT_FORM, in_utc, parse_moment, parse_span, spoken

MOST_RESERVED = 0.9  # share of the limits: more of it, and hardly anything could be read
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

# The lists of tables, and what a table of each is told by.
NAMED_BY = {"source": "name", "person": "email", "notice": "name", "sink": "name"}

Model = TypeVar("Model", bound=BaseModel)


def _span(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    return parse_span(str(value))


def _settle(value: Any) -> timedelta:
    span = _span(value)
    if span > timedelta(days=1):
        raise ValueError(f"{value!r} is longer than 1d, the most that it can be")
    return span


def _share(value: Any) -> float:
    """Return a share from 0 to 0.9, written as such or in percent; ValueError says the right form."""
    text = str(value).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if isinstance(value, bool) or not 0 <= share <= MOST_RESERVED:
        raise ValueError(f'{value!r} is not a share from 0 to {MOST_RESERVED}, or one in percent such as "20%"')
    return share


def _start(value: Any) -> datetime | timedelta:
    """Return the start of a source: a span back from now, or an instant in UTC, which is not in the future."""
    if isinstance(value, str):
        moment = parse_moment(value, datetime.now(UTC))  # refuses a span from before the year 1 too
        try:
            return parse_span(value)
        except ValueError:
            value = moment
    if not isinstance(value, date):  # a datetime is a date too
        raise ValueError(f"{value} is not {MOMENT_FORM}")  # noqa: TRY004 - pydantic reports ValueError
    try:
        start = in_utc(value)
    except OverflowError:
        raise ValueError(f"{value} is not {MOMENT_FORM}") from None
    if start > datetime.now(UTC):
        raise ValueError(f"{value} lies in the future")
    return start


def _store_url(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        has_password = bool(make_url(value).password)
    except ArgumentError:
        has_password = False
    if has_password:
        raise ValueError('it holds a password, which does not stand in the config; write url = { env = "NAME" }')
    return SecretStr(value)


Span = Annotated[timedelta, BeforeValidator(_span)]


class WebhookSettings(BaseModel):
    """What of a `[[source]]` is about webhooks: secrets, which are fetched when the source is built."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    webhook_secret: Annotated[tuple[Secret, ...], BeforeValidator(lambda one: one if isinstance(one, list) else [one])]


class StoreSettings(BaseModel):
    """The table `[store]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[Secret, BeforeValidator(_store_url)] = SecretStr("sqlite:///flagtrail.db")
    """sqlite:///file (relative to the config), postgresql://host/name, or { env = "NAME" } when it has a password."""


class SourceSettings(BaseModel):
    """One `[[source]]`; the keys that are not listed here are the connector's own."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """What you call it. It is part of every event's id: renaming a source starts its trail again."""
    connector: str
    """Which connector reads it; `flagtrail connectors` lists them."""
    start: Annotated[datetime | timedelta, BeforeValidator(_start)] = timedelta(days=365)
    """From when on everything is wanted: a date, an instant, or a span back from now such as 90d."""
    every: Annotated[Span, Field(ge=timedelta(seconds=1))] = timedelta(minutes=1)
    """How often `flagtrail run` looks for changes."""
    settle: Annotated[timedelta, BeforeValidator(_settle)] = timedelta(minutes=15)
    """How late the vendor may show an entry: younger time is read at every look, and not counted as covered yet."""
    parallel: Annotated[int, Field(ge=1, le=32)] = 16
    """How many windows may be read at the same time; a little work takes fewer."""
    retention: Annotated[Span, Field(ge=timedelta(days=1), le=timedelta(days=36_500))] | None = None
    """For how long the vendor keeps entries, if not for ever: older time is lost, and never counted as covered."""
    keep: Annotated[Span, Field(ge=timedelta(days=1), le=timedelta(days=36_500))] | None = None
    """For how long events are kept here, if not for ever: `flagtrail run` deletes older ones, and never reads them."""
    verify: bool = True
    """Whether `flagtrail run` compares what is covered with the vendor's own numbers, hourly to monthly."""
    reserve: Annotated[float, BeforeValidator(_share)] = RESERVE
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
}  # fmt: skip
LISTS: dict[str, type[BaseModel]] = {"person": PersonSettings, "notice": NoticeSettings, "sink": SinkSettings}


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
    config = validated(Config, raw, f"config {path}", list(Config.model_fields))
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


def validated(model: type[Model], raw: dict[str, Any], where: str, names: list[str]) -> Model:
    """Return settings, checked; raises ConfigError with a line for each mistake. `names` are those that are known."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        lines = [_line(detail, where, names, raw) for detail in details]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def _line(detail: Any, where: str, names: list[str], raw: dict[str, Any]) -> str:
    """Return one mistake in one line: the place as a person would name it, and the right form."""
    loc = list(detail["loc"])
    if loc[0] in NAMED_BY and len(loc) > 1 and isinstance(loc[1], int):
        kind, settings = loc[0], raw[loc[0]][loc[1]]
        name = settings.get(NAMED_BY[kind]) if isinstance(settings, dict) else None
        where = f"{where}: {kind} {name!r}" if isinstance(name, str) else f"{where}: {kind} {loc[1] + 1}"
        names = list(LISTS[kind].model_fields) if kind in LISTS else names
        loc = loc[2:]
    elif loc[0] in TABLES:
        names = list(TABLES[loc[0]].model_fields)
    place = ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in loc)
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(loc[-1]), names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"
        return f"{where}: unknown setting {place!r}{hint}"
    if detail["type"] == "missing":
        return f"{where}: the setting {place!r} is missing"
    return f"{where}: {place or 'it'}: {_right_form(detail, place)}"


def _right_form(detail: Any, place: str) -> str:
    """Return what a value should be, in words."""
    limits = {key: value for key, value in (detail.get("ctx") or {}).items() if key in ("ge", "le", "gt", "lt")}
    if limits:
        bounds = {"ge": "at least", "le": "at most", "gt": "more than", "lt": "less than"}
        return " and ".join(f"must be {bounds[key]} {_limit(value)}" for key, value in limits.items())
    if detail["type"] == "string_pattern_mismatch" and place == "name":
        return "may hold letters, digits, dots, dashes and underscores, and begins with a letter or a digit"
    if detail["type"] == "list_type" and place in NAMED_BY:
        return f"write [[{place}]] with two brackets before each {place}"
    if detail["type"] in ("string_too_short", "too_short"):
        return "must not be empty"
    if detail["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"write [{place}] above its settings" if place else "write its settings as name = value"
    return str(detail["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")


def _limit(value: Any) -> str:
    """Return a limit for people; pydantic tells a length of time as Python writes it."""
    if not str(value).startswith("datetime.timedelta("):
        return str(value)
    return spoken(timedelta(**{unit: int(number) for unit, number in re.findall(r"(\w+)=(\d+)", str(value))}))
