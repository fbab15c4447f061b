"""Checks of the wheel, the sdist and the npm package that `make dist` builds."""
