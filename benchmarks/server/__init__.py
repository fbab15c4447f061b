"""Load on `espressivo api`."""
