"""The live view (MCP Apps): a page that a host shows beside a task, and the tool that the page asks. Nothing of it is for a model."""
