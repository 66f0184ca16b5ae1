"""Streams and pixels: open, probe, diagnose, and draw what the model predicts on the live picture. No database."""
