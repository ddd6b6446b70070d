"""The HTTP API: the trail for programs and pages, under /api. It talks to people, as `cli` does; docs/http.md tells it."""
