"""Who is compared: a program for each, the environment it runs in, and the query for the entries it stored."""

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from benchmarks.vendor import ROOT

ENVIRONMENTS = ROOT / ".bench"
HERE = Path(__file__).resolve().parent
REFERENCE = "bare"


class CannotInstall(Exception):
    """A contender's packages cannot be had here; the text is pip's last word about it."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to load the log; `ids` is the query for the vendor's ids in its SQLite file.

    `peer` is what others publish and maintain for such work. `slow` ones are run once only, unless asked otherwise.
    """

    name: str
    title: str
    ids: str
    note: str
    peer: bool = False
    slow: bool = False
    loader: Path | None = None
    """Its program, for one that does not stand beside the others; it runs in this environment."""

    @property
    def program(self) -> Path:
        """What is run, with URL, token and database file as arguments."""
        return self.loader or HERE / "loaders" / f"with_{self.name}.py"

    @property
    def requirements(self) -> Path:
        """Its pinned packages; there is no such file for what runs in this environment."""
        return HERE / "requirements" / f"{self.name}.txt"

    def python(self) -> Path:
        """Return its interpreter, installed when that is not done yet; raises CannotInstall."""
        if self.loader or not self.requirements.exists():
            return Path(sys.executable)
        folder = ENVIRONMENTS / self.name
        python, stamp = folder / "bin" / "python", folder / "installed.txt"
        wanted = self.requirements.read_text(encoding="utf-8")
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
            print(f"installing {self.title} into {folder.relative_to(ROOT)}, once ...", file=sys.stderr, flush=True)
            install(folder, python, self.requirements)
            stamp.write_text(wanted, encoding="utf-8")
        return python

    @property
    def told(self) -> str:
        """What it is, after its first pinned package."""
        pinned = self.requirements.read_text(encoding="utf-8").split()[:1] if self.requirements.exists() else []
        return ": ".join([*pinned, self.note])


def install(folder: Path, python: Path, requirements: Path) -> None:
    """Make an environment with packages in it; raises CannotInstall."""
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        venv.create(folder, with_pip=True)
        subprocess.run([*pip, "-r", str(requirements)], capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        said = [line for line in str(error.stderr or error).splitlines() if line.strip()]
        raise CannotInstall(next((line for line in reversed(said) if "ERROR" in line), said[-1])) from None


CONTENDERS = (
    Contender(
        "ours",
        "flagtrail",
        "SELECT DISTINCT vendor_id FROM event",
        "`Session.fill()` as `flagtrail sync` does it: windows, checkpoints, translation, the vendor's record kept",
    ),
    Contender(
        "bare",
        "bare loop",
        "SELECT id FROM entry",
        "the reference: aiohttp, orjson and sqlite3, no checkpoints, no translation, no retries",
    ),
    Contender(
        "naive",
        "naive loop",
        "SELECT id FROM entry",
        "httpx and SQLModel, `Session.add` for each row, a commit for each page: what one writes in an afternoon",
    ),
    Contender(
        "dlt",
        "dlt",
        "SELECT _id FROM audit_log",
        "`rest_api` source, incremental cursor on `date`, merge by id, into SQLite by its SQLAlchemy destination",
        peer=True,
        slow=True,
    ),
    Contender(
        "airbyte",
        "Airbyte CDK",
        "SELECT id FROM entry",
        "a low-code manifest, run by its own command line; its messages go into SQLite by the shortest way, "
        "because its destinations are containers: the real thing does more",
        peer=True,
        slow=True,
    ),
    Contender(
        "singer",
        "singer-sdk",
        "SELECT _id FROM audit_log",
        "a REST tap as its template makes them, into its own sample of a SQLite target",
        peer=True,
        slow=True,
    ),
)


def named(names: str | None) -> list[Contender]:
    """Return the contenders of these names, with commas between them, or all; raises ValueError for an unknown one."""
    known = {contender.name: contender for contender in CONTENDERS}
    wanted = [name.strip() for name in names.split(",")] if names else list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"no contender {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in wanted]
