"""Collects what no page may do: errors, what its policy stops, dialogs, requests to elsewhere, failing requests."""

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Request, Response

REPORT = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile} ${event.sample}`), true);"""
LIVE = "/api/v1/live"
SAID = (404, 409, 422)  # statuses of pages that say what is wrong with an address


class Watch:
    """Watches every page of a context; `found` holds a line for each misdeed."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.context, self.origin = context, origin
        self.found: list[str] = []
        context.add_init_script(REPORT)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.found.append(f"error: {error.error}"))
        context.on("dialog", self._dialog)
        context.on("request", self._asked)
        context.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        # Chromium tells of answers such as 404 on the console too; which of them are wrong is judged in `_answered`.
        if message.type in ("error", "warning", "assert") and not message.text.startswith("Failed to load resource"):
            self.found.append(f"console: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.found.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if f"{parts.scheme}://{parts.netloc}" != self.origin and parts.scheme not in ("data", "blob"):
            self.found.append(f"elsewhere: {request.url}")

    def _answered(self, response: Response) -> None:
        # A page that says what is wrong with a question is an answer, also when a script fetched it.
        part = urlsplit(response.url).path.startswith(("/static/", "/api/"))
        told = response.request.is_navigation_request() or (response.status in SAID and not part)
        told |= response.status == 401 and urlsplit(response.url).path == LIVE  # the page says "Signed out" then
        if response.status >= 500 or (response.status >= 400 and not told):
            self.found.append(f"answer: {response.status} {response.url}")
