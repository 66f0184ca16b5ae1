"""Geometric proof that cameras cover every seat and zone of an exam room.

Pure geometry over numpy and shapely: no files, no clock, no network.
Room coordinates are right-handed, in metres: origin at the floor corner at the back left as one
faces the front wall, x right, y towards the front wall, z up. Bearings are compass-like: 0 towards
the front wall, 90 right. Angles are in radians in code, in degrees where a name ends in ``_deg``.
"""
