"""Terminal output of the commands: reports, tables, progress."""
