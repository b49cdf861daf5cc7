"""Documentation that is executed: the commands of a Markdown page, and whether they print what the page shows."""
