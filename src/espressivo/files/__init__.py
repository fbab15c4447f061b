"""Files written whole or not at all, locks between processes, tables of rows."""
