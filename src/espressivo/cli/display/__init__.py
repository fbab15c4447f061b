"""What commands show in a terminal: reports, tables, progress."""
