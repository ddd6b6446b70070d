"""LaunchDarkly's request limits: counted per account, route, token and address, and told in headers, or not."""

from collections.abc import Callable

from flagtrail.testing.simulator import Quota, Reply, http_date
from flagtrail_launchdarkly.simulation.switches import Scope, Switches

_HEADERS = {
    "global": ("X-Ratelimit-Global", "X-Ratelimit-Reset"),
    "route": ("X-Ratelimit-Route", "X-Ratelimit-Reset"),
    "token": ("X-Ratelimit-Auth-Token", "X-Ratelimit-Auth-Token-Reset"),
}
REFUSED = {"code": "rate_limited", "message": "You've exceeded the API rate limit. Try again later."}


class Limits:
    """Counts requests against the quotas of the switches."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._quotas: dict[tuple[Scope, str, tuple[int, int]], Quota] = {}

    def reply(self, route: str, now_ms: int, answer: Callable[[], Reply]) -> Reply:
        """Return the answer, or the refusal of a request too many, with the headers that tell of the limits."""
        switches = self._switches
        headers: dict[str, str] = {}
        refused = False
        wait_ms = 0
        for scope, size in switches.quotas.items():
            # A route has its own count for each address pattern and method; the others have one.
            key = (scope, route if scope == "route" else "", size)
            allowed, remaining, reset = self._quotas.setdefault(key, Quota(*size)).take(now_ms)
            if not allowed:
                refused, wait_ms = True, max(wait_ms, reset - now_ms)
            if scope in switches.rate_headers and scope in _HEADERS:
                prefix, reset_name = _HEADERS[scope]
                told = now_ms - switches.resets_ago_ms if switches.resets_ago_ms else reset
                headers |= {f"{prefix}-Limit": str(size[0]), f"{prefix}-Remaining": str(remaining)}
                headers[reset_name] = str(max(told, int(headers.get(reset_name, 0))))
        if not refused:
            reply = answer()
            reply.headers = {**headers, **reply.headers}
            return reply
        return Reply(429, REFUSED, self._refusal_headers(headers, now_ms, wait_ms))

    def _refusal_headers(self, headers: dict[str, str], now_ms: int, wait_ms: int) -> dict[str, str]:
        seconds = -(-wait_ms // 1000)
        match self._switches.refusal:
            case "reset":
                # The limit of an address is told by Retry-After only.
                return headers or {"Retry-After": str(seconds)}
            case "retry-after":
                return {"Retry-After": str(seconds)}
            case "retry-date":
                return {"Retry-After": http_date(now_ms + seconds * 1000)}
            case _:
                return {}
