"""Fetches a secret from where the config says that it is: an environment variable, a file, or a program's output."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import SecretStr

COMMAND_SECONDS = 10.0  # that a program may take to print a secret
FORM = 'a secret does not stand in the config; write { env = "NAME" }, { file = "/path" } or { command = ["program"] }'


def fetched(value: Any) -> SecretStr:
    """Return the secret that `{ env = "NAME" }`, `{ file = "path" }` or `{ command = ["program", ...] }` names.

    White space around it is cut off. Raises ValueError, which says what is missing, and never what was found.
    """
    if isinstance(value, SecretStr):
        return value
    match value:
        case {"env": str(name), **others} if not others:
            secret, where = os.environ.get(name, ""), f"environment variable {name}"
        case {"file": str(path), **others} if not others:
            secret, where = _read(path), f"file {path}"
        case {"command": [str(program), *words], **others} if not others and all(isinstance(w, str) for w in words):
            secret, where = _printed([program, *words]), f"what {program} prints"
        case _:
            raise ValueError(FORM)
    if not secret.strip():
        raise ValueError(f"{where} is not set or empty")
    if not (secret.strip().isprintable() and secret.isascii()):
        raise ValueError(f"{where} holds more than one line, or a character that no credential has")
    return SecretStr(secret.strip())


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"file {path} cannot be read: {reason}") from None


def _printed(words: list[str]) -> str:
    """Return what a program prints; no shell reads its words, and what it says on stderr may hold secrets too."""
    program = words[0]
    try:
        process = subprocess.Popen(  # noqa: S603 - whoever writes the config says what is run
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its words cannot be passed on"
        raise ValueError(f"the command {program!r} cannot be run: {reason}") from None
    with process:
        try:
            printed, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)  # those that it has started, too
            raise ValueError(f"the command {program!r} takes longer than {COMMAND_SECONDS:.0f} s") from None
    if process.returncode:
        raise ValueError(f"the command {program!r} ends with {process.returncode}; run it by hand to see why")
    try:
        return printed.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the command {program!r} prints what is not text") from None
