"""Search for operators to quantize: shortest time within a bound on the change."""
