"""Streams and pixels: open, probe, diagnose, draw the model's prediction on the live picture. No database."""
