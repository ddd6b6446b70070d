"""No file of the repository looks like it holds a secret: the forms of credentials are known, and none may stand here.

Tools that guess by entropy take every made-up id of the tests for a secret, and 11 seconds of CPU.
"""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEX, WORD = "0123456789abcdef", "Zx9Kq2Lm4Np6Rs8Tu1Vw3Yb5Cd7Fg0Hj2Ka4Mb6Nc8Pd1Qe3Rf5Sg7Th9Ui"
# Each form, and what it has to find, put together here so that this file does not hold it.
FORMS: dict[str, tuple[str, str]] = {
    "LaunchDarkly's tokens and keys": (
        # The simulator's have zeros in the middle.
        r"\b(?:api|sdk|mob)-[0-9a-f]{8}-(?!0000-4000-8000)[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b",
        f"api-{HEX[:8]}-{HEX[:4]}-4{HEX[:3]}-8{HEX[:3]}-{HEX[:12]}",
    ),
    "ConfigCat's webhook keys": (r"configcat_whsk_[A-Za-z0-9+/=]{20,}", f"configcat_whsk_{WORD[:44]}"),
    "ConfigCat's SDK keys": (r"configcat-sdk-1/[\w-]{22}/[\w-]{22}", f"configcat-sdk-1/{WORD[:22]}/{WORD[:22]}"),
    "our own tokens": (r"\bflagtrail_[0-9a-f]{12}_[\w-]{43}", f"flagtrail_{HEX[:12]}_{WORD[:43]}"),
    "keys of Standard Webhooks": (r"whsec_[A-Za-z0-9+/]{32,}", f"whsec_{WORD[:32]}"),
    "private keys": (r"-----BEGIN [A-Z ]*PRIVATE KEY-----", "-----BEGIN RSA PRIVATE" + " KEY-----"),
    "AWS": (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", f"AKIA{WORD[:16].upper()}"),
    "GitHub": (r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{36,}", f"ghp_{WORD[:36]}"),
    "GitLab": (r"\bglpat-[\w-]{20,}", f"glpat-{WORD[:20]}"),
    "Slack": (
        r"\bxox[abeprs]-[0-9A-Za-z-]{20,}|hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{20,}",
        f"hooks.slack.com/services/T{WORD[:8]}/B{WORD[:8]}/{WORD[:24]}",
    ),
    "PyPI and npm": (r"\b(?:pypi-AgE|npm_)[\w-]{36,}", f"npm_{WORD[:36]}"),
    "Google": (r"\bAIza[\w-]{35}\b", f"AIza{WORD[:35]}"),
    "Stripe": (r"\b[rs]k_live_[0-9A-Za-z]{20,}", f"sk_live_{WORD[:24]}"),
    "Grafana": (r"\bglsa_[0-9A-Za-z]{32}_[0-9a-f]{8}\b", f"glsa_{WORD[:32]}_{HEX[:8]}"),
    "JSON web tokens": (r"\beyJ[\w-]{15,}\.eyJ[\w-]{15,}\.[\w-]{20,}", f"eyJ{WORD[:20]}.eyJ{WORD[:20]}.{WORD[:43]}"),
}


@pytest.mark.parametrize("kind", FORMS)
def test_a_secret_of_each_kind_would_be_found(kind: str) -> None:
    form, secret = FORMS[kind]
    assert re.search(form, f'token = "{secret}"')
    assert not re.search(form, 'token = "made-up"')


def published() -> list[Path]:
    """Return the files of the repository; all that are not hidden where it is no checkout of git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    named = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    found = named or [path for path in ROOT.rglob("*") if not _is_hidden(path.relative_to(ROOT))]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part in ("__pycache__", "build", "dist", "site") for part in path.parts)


def test_no_file_of_the_repository_holds_a_secret() -> None:
    files = published()
    assert len(files) > 300
    found: dict[str, str] = {}
    together = re.compile("|".join(f"(?:{form})" for form, _ in FORMS.values()))
    for path in files:
        text = path.read_bytes().decode("utf-8", "replace")
        found |= {match[0]: str(path.relative_to(ROOT)) for match in together.finditer(text)}
    assert found == {}, "if it is real, it is burnt: revoke it, also when you take it out of the history"
