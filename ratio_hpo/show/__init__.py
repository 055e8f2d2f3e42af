"""Progress display and report of a search while it runs."""
