"""`python -m northstar_mcp`: the same as the command `northstar-mcp`."""

from northstar_mcp.cli.main import main

if __name__ == "__main__":
    main()
