"""The command line ``mastra``."""
