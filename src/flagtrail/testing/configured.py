"""Writes a config file with which flagtrail reads simulated vendors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from flagtrail.testing.simulator import Simulator

NAME = "flagtrail.toml"


def write_config(
    folder: Path, simulators: Mapping[str, Simulator], store: str, name: str = NAME, **settings: Any
) -> Path:
    """Return a new config in a folder, with a source for each simulator by name; each secret gets a file of its own.

    `settings` are added to every source.
    """
    lines = ["[store]", f"url = {json.dumps(store)}"]
    for source, simulator in simulators.items():
        lines += [
            "",
            "[[source]]",
            f"name = {json.dumps(source)}",
            f"connector = {json.dumps(simulator.connector.vendor)}",
        ]
        own = {key: _toml(folder, source, key, value) for key, value in simulator.settings().items()}
        added = {key: json.dumps(value) for key, value in settings.items()}
        lines += [f"{key} = {value}" for key, value in (own | added).items()]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(folder: Path, source: str, key: str, value: Any) -> str:
    if not isinstance(value, SecretStr):
        return json.dumps(value)
    file = folder.absolute() / f"{source}.{key}"
    file.touch(mode=0o600)
    file.write_text(value.get_secret_value(), encoding="utf-8")
    return f"{{ file = {json.dumps(str(file))} }}"
