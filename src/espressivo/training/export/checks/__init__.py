"""Checks: is the exported graph still the network that was trained?"""
