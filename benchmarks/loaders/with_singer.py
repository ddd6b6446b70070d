"""Loads the audit log with singer-sdk: `tap | target`, each a process, as the Singer specification has it."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# SQLite has no columns for objects and lists: the SDK's own setting makes columns, and JSON, of them.
NESTED = {"flattening_enabled": True, "flattening_max_depth": 1}


def main(url: str, token: str, database: str) -> None:
    """Run the tap into the target."""
    Path("tap.json").write_text(json.dumps({"api_url": url, "auth_token": token}), encoding="utf-8")
    Path("target.json").write_text(json.dumps({"path_to_db": database, **NESTED}), encoding="utf-8")
    tap = subprocess.Popen([sys.executable, HERE / "singer_tap.py", "--config", "tap.json"], stdout=subprocess.PIPE)
    target = subprocess.Popen(
        [sys.executable, HERE / "singer_target.py", "--config", "target.json"],
        stdin=tap.stdout,
        stdout=subprocess.DEVNULL,
    )
    assert tap.stdout is not None
    tap.stdout.close()
    sys.exit(target.wait() or tap.wait())


if __name__ == "__main__":
    main(*sys.argv[1:])
