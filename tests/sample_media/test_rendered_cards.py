"""The rendered rooms' desk cards are the product's: written twice, held to each other here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import yaml
from kaozheng_coverage.card import FORMS, card_faces
from kaozheng_service.config.geometry import room_geometry
from kaozheng_service.config.site import load_site

PROJECT = Path(__file__).resolve().parents[2]
SITE = PROJECT / "configs" / "demo" / "site.yaml"


@pytest.fixture
def rendering() -> Iterator[ModuleType]:
    """The renderer's room module; it is no installed package."""
    sys.path.insert(0, str(PROJECT / "sample_media"))
    try:
        from rendering import room

        yield room
    finally:
        sys.path.remove(str(PROJECT / "sample_media"))


@pytest.mark.parametrize("marker_m", [form.most_marker_m for form in FORMS])
def test_every_rendered_marker_stands_where_the_product_says(rendering: ModuleType, marker_m: float) -> None:
    room_id = "9-101"
    entries = yaml.safe_load(SITE.read_text(encoding="utf-8"))["rooms"]
    entry = next(one for one in entries if one["id"] == room_id) | {"card_marker": marker_m}
    # The first of its rows; the others are as it.
    entry["seats"] = entry["seats"] | {"grid": entry["seats"]["grid"] | {"rows": 1}}
    mesh = rendering.room_mesh(entry)
    geometry = room_geometry(load_site(SITE).room(room_id))
    faces = card_faces(geometry, marker_m)[: 2 * len(rendering.places(entry))]
    assert {face.label for face in faces} == {place.number for place in rendering.places(entry)}
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36H11))
    found = {}
    for index, material in enumerate(mesh.materials):
        if material.texture is None or material.texels_per_m != 3000:
            continue
        # Markers of hundreds of pixels, drawn without blur: OpenCV's plain finder, whose pixels begin at their middle.
        (quad,), ids, _ = detector.detectMarkers(material.texture)
        quads = np.flatnonzero(mesh.material == index)
        found[int(ids.ravel()[0])] = _in_the_room(
            mesh, quads, quad.reshape(4, 2) + 0.5, material.texture.shape
        )
    assert set(found) == {face.marker_id for face in faces}
    for face in faces:
        # A texel is a third of a millimetre.
        assert found[face.marker_id] == pytest.approx(face.corners, abs=0.0010), face.label


def _in_the_room(
    mesh: object, triangles: np.ndarray, corners_px: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Where in the room pixels of a texture are drawn: by each triangle's own map from texture to room."""
    corners, texture_at = mesh.corners[triangles], mesh.texture_at[triangles]  # type: ignore[attr-defined]
    points = []
    for pixel in corners_px:
        at = np.array([pixel[0] / shape[1], pixel[1] / shape[0]])
        for triangle, places in zip(corners, texture_at, strict=True):
            solve = np.linalg.solve(np.vstack([places.T, np.ones(3)]), np.array([*at, 1.0]))
            if (solve >= -1e-9).all():
                points.append(solve @ triangle)
                break
        else:
            raise AssertionError(f"no triangle shows {pixel}")
    return np.array(points)
