"""One file per tool: its description, its parameters, and check, use case, answer."""
