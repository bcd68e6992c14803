"""What all tests of this repository share: the servers that they run against."""

pytest_plugins = ("backends.plugin",)
