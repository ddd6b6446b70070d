"""The HTTP API: the trail for programs and pages, under /api; docs/http.md tells how it is used."""
