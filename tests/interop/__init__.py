"""The TypeScript framework's own libSQL store and ours, on one database file."""
