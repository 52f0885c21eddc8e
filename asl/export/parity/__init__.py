"""Parity of the exported files with the recognizer, and what they cost to run."""
