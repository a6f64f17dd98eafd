"""A server for the conformance suite: the product's own, built and served by its own code, with the suite's fixtures added.

The suite asks for tools, resources and prompts by name (src/scenarios/server in modelcontextprotocol/conformance says what each must
do); most are as in the SDK's own everything-server. Everything between them and the wire is ours: surface.py's middleware and
extensions, handles/, sealing.py, http.py.
"""
