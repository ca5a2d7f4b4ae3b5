"""Files: every format in one place."""
