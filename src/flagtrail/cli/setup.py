"""The commands around the config: init, check, connectors; and the demo."""

import inspect
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from flagtrail import logs
from flagtrail.cli.reading import ConfigOption, SourceOption
from flagtrail.cli.showing import FAILED, Simple, dumps, out, plain, plain_table, print_json, say_errors
from flagtrail.config import config_path, load, store_url
from flagtrail.connector import Connector, installed
from flagtrail.errors import ConfigError, SourceError
from flagtrail.example import EXAMPLE
from flagtrail.source import Source
from flagtrail.store import Store
from flagtrail.sync import Session


def init(
    path: Annotated[
        Path | None, typer.Argument(help="Where to write it; else FLAGTRAIL_CONFIG, else ./flagtrail.toml.")
    ] = None,
) -> None:
    """Write a commented config to start from; an existing file is never overwritten.

    Examples:

      flagtrail init

      flagtrail init /etc/flagtrail.toml
    """
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


def check(
    config: ConfigOption = None,
    source: SourceOption = None,
    output: Annotated[Simple, typer.Option("--output", "-o", help="How the result is written.")] = Simple.TABLE,
) -> None:
    """Validate the config, open the database, sign in everywhere, and list the streams.

    Examples:

      flagtrail check

      flagtrail check --config /etc/flagtrail.toml
    """
    logs.configure(logging.ERROR)
    settings = load(config)
    sources = settings.sources(source)
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


def connectors(
    output: Annotated[Simple, typer.Option("--output", "-o", help="How the result is written.")] = Simple.TABLE,
) -> None:
    """List the installed connectors and their settings.

    Examples:

      flagtrail connectors

      flagtrail connectors -o json
    """
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


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the load, instead of going on as the daemon does.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where the demo's database and config go.")] = Path("flagtrail-demo"),
    entries: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="How many audit log entries each vendor has.")
    ] = 3000,
) -> None:
    """Simulate both vendors on this machine, load a year of their history over HTTP, and show what came of it.

    No account is needed, and nothing leaves this machine.

    Examples:

      flagtrail demo

      flagtrail demo --once --entries 20000
    """
    from flagtrail.cli.demo import play  # only the demo needs the simulators

    play(folder, entries=entries, once=once)
