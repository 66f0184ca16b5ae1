"""Renders the demo rooms through their cameras. Imports nothing of the product: its pictures check the verdicts."""
