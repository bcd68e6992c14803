"""Storage for AI agents, on the database that you have."""
