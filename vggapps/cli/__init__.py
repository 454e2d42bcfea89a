"""The command line: it translates, and holds no mathematics."""
