"""What the commands around the config do: init, check, connectors."""

import inspect
import logging
from pathlib import Path

import typer
from rich.text import Text

from flagtrail import logs
from flagtrail.cli.options import FAILED, Simple
from flagtrail.cli.showing import dumps, out, plain, plain_table, print_json, say_errors
from flagtrail.config import config_path, load, store_url
from flagtrail.connector import Connector, installed
from flagtrail.errors import ConfigError, SourceError
from flagtrail.example import EXAMPLE
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session


def init(path: Path | None) -> None:
    """Write a commented config to start from; an existing file is never overwritten."""
    target = config_path(path)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(EXAMPLE)
    except FileExistsError:
        raise ConfigError(f"{target} exists already; it was left as it is") from None
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}") from None
    told = f"wrote {target}; set the environment variables that it names, then: flagtrail check"
    out.print(told, markup=False, soft_wrap=True)


def check(config: Path | None, source: list[str] | None, output: Simple) -> None:
    """Validate the config, open the database, sign in everywhere, and list the streams."""
    logs.configure(logging.ERROR)
    settings = load(config)
    sources = settings.sources(source)
    if settings.sink:
        from flagtrail.notices.running import sinks_of  # slow to import

        sinks_of(settings)
    rows, errors = [], []
    with Store(store_url(settings, config)) as store:
        for each in sources:
            with Session(each, store) as session:
                try:
                    rows += [(each, stream) for stream in session.streams()]
                except SourceError as error:
                    errors.append(f"{each.name}: {error}")
    if output is Simple.JSON:
        plain_rows = [
            {"source": each.name, "vendor": each.connector.vendor, "stream": s.name, "label": s.label}
            for each, s in rows
        ]
        print_json({"streams": plain_rows, "errors": errors})
    else:
        cells = [(each.name, each.connector.vendor, stream.name, stream.label) for each, stream in rows]
        table = plain_table(("source", "vendor", "stream", ""), cells)
        if rows:
            out.print(table)
    say_errors("\n".join(errors))
    if errors:
        raise typer.Exit(FAILED)
    if output is Simple.TABLE:
        out.print(_all_well(sources))


def _all_well(sources: list[Source]) -> Text:
    return Text(f"config, database and {len(sources)} source{'s' * (len(sources) > 1)} are fine", style="green")


def connectors(output: Simple) -> None:
    """List the installed connectors and their settings."""
    found = installed()
    if output is Simple.JSON:
        print_json({name: settings_of(kind) for name, kind in found.items()})
        return
    for name, kind in found.items():
        out.print(Text.assemble((name, "bold"), f"  {inspect.getdoc(kind)}"), soft_wrap=True)
        rows = [(f"  {setting['name']}", setting["default"], setting["about"]) for setting in settings_of(kind)]
        out.print(plain_table(("  setting", "default", ""), rows))


def settings_of(kind: type[Connector]) -> list[dict[str, str]]:
    """Return a connector's settings with their defaults, as TOML, and the text that stands below each in the code."""
    return [
        {
            "name": name,
            "default": "required" if field.is_required() else dumps(field.default) if field.default is not None else "",
            "about": plain(field.description or ""),
        }
        for name, field in kind.model_fields.items()
    ]
