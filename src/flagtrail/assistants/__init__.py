"""The trail for assistants, by the Model Context Protocol: questions that only read; docs/mcp.md tells of it."""
