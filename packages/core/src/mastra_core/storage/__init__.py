"""Storage: domains over a narrow waist that any database can implement."""
