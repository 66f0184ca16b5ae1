"""Seat and moment in, footage out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from kaozheng_service.database import Segment
from kaozheng_service.disputes.find import UnknownNameError, find, find_json
from kaozheng_service.disputes.timeline import State
from kaozheng_service.errors import UserError

ROOM = "9-101"
CAMERAS = ("front-left", "back-right")


@pytest.fixture
def session(small_archive: Any) -> Any:
    """20 s from 09:00:00: front-left whole; back-right lost from 8 s to 11 s, then a second take."""
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=20), room=ROOM)
    small_archive.take(window, "front-left", begins, 10)
    small_archive.take(window, "back-right", begins, 4)
    lost, back = begins + timedelta(seconds=8), begins + timedelta(seconds=11)
    small_archive.gap(window, "back-right", lost, back, "stream_lost", "connection reset")
    small_archive.take(window, "back-right", back, 4, number=2)
    return small_archive


def by_id(result: Any) -> dict[str, Any]:
    return {camera.camera_id: camera for camera in (*result.cameras, *result.blind)}


def test_the_file_and_the_offset_of_the_moment_are_named(session: Any) -> None:
    at = session.local("2024-11-23 09:00:13.500")
    result = find(session.station, ROOM, "07", at)
    assert result.found
    (holder,) = [segment for segment in by_id(result)["front-left"].segments if segment.offset_s is not None]
    assert holder.number == 7
    assert holder.offset_s == pytest.approx(1.5)
    assert holder.path.endswith("take-0001/seg-00007.mp4")


def test_cameras_that_see_the_seat_come_best_first(session: Any) -> None:
    result = find(session.station, ROOM, "07", session.local("2024-11-23 09:00:05"))
    ranks = [camera.sight.rank for camera in result.cameras]
    assert ranks == sorted(ranks)
    assert {camera.camera_id for camera in (*result.cameras, *result.blind)} == set(CAMERAS)
    for camera in result.cameras:
        left, top, right, bottom = camera.sight.box_px
        assert left < right
        assert top < bottom
        assert right > 0
        assert left < camera.width_px


def test_a_gap_is_told_with_its_cause_and_hides_no_other_camera(session: Any) -> None:
    result = find(session.station, ROOM, None, session.local("2024-11-23 09:00:09"))
    lost = by_id(result)["back-right"]
    assert lost.at_moment is State.GAP
    assert [(gap.cause, (gap.ends_at - gap.starts_at).total_seconds()) for gap in lost.gaps] == [
        ("stream_lost", 3.0)
    ]
    assert by_id(result)["front-left"].recorded
    assert result.found


def test_every_second_of_the_range_is_accounted_for(session: Any) -> None:
    result = find(session.station, ROOM, None, session.local("2024-11-23 09:00:10"), around_s=30)
    line = by_id(result)["back-right"].timeline
    assert [(part.state, part.seconds) for part in line] == [
        (State.NOT_EXPECTED, 20.0),
        (State.RECORDED, 8.0),
        (State.GAP, 3.0),
        (State.RECORDED, 8.0),
        (State.UNEXPLAINED, 1.0),
        (State.NOT_EXPECTED, 20.0),
    ]


def test_a_missing_segment_inside_a_take_is_no_footage(small_archive: Any) -> None:
    begins = small_archive.local("2024-11-23 09:00:00")
    window = small_archive.window(begins, begins + timedelta(seconds=10), room=ROOM)
    small_archive.take(window, "front-left", begins, 5, without=(3,))
    result = find(small_archive.station, ROOM, None, begins + timedelta(seconds=5))
    assert by_id(result)["front-left"].at_moment is State.UNEXPLAINED
    assert not result.found


def test_a_rounded_seam_between_two_segments_of_a_take_is_no_hole(session: Any) -> None:
    with session.station.sessions.begin() as database:
        for row in database.query(Segment).filter(Segment.camera_id == "front-left"):
            row.ends_at -= timedelta(milliseconds=40)
    at = session.local("2024-11-23 09:00:03.990")
    camera = by_id(find(session.station, ROOM, None, at))["front-left"]
    assert camera.recorded
    assert sum(segment.offset_s is not None for segment in camera.segments) == 1


def test_nothing_recorded_names_the_nearest_footage(session: Any) -> None:
    late = find(session.station, ROOM, "07", session.local("2024-11-23 12:00:00"))
    assert not late.found
    assert late.before.at == session.local("2024-11-23 09:00:20")
    assert late.after is None
    early = find(session.station, ROOM, "07", session.local("2024-11-23 06:00:00"))
    assert early.before is None
    assert early.after.at == session.local("2024-11-23 09:00:00")
    assert not early.windows


def test_an_open_take_counts_as_far_as_its_file_grows(small_archive: Any) -> None:
    from kaozheng_service.clock import now

    begins = now() - timedelta(seconds=10)
    window = small_archive.window(begins, begins + timedelta(minutes=5), room=ROOM, closed=False)
    small_archive.take(window, "front-left", begins, 3, running=True)
    writing = by_id(find(small_archive.station, ROOM, None, begins + timedelta(seconds=8)))["front-left"]
    assert writing.at_moment is State.WRITING
    assert not writing.recorded
    later = by_id(find(small_archive.station, ROOM, None, begins + timedelta(seconds=60)))["front-left"]
    assert later.at_moment is State.UPCOMING


def test_a_seat_that_is_not_there_is_answered_with_the_nearest(session: Any) -> None:
    at = session.local("2024-11-23 09:00:05")
    with pytest.raises(UnknownNameError, match="room 9-101 has no seat '7'; did you mean 07"):
        find(session.station, ROOM, "7", at)
    with pytest.raises(UnknownNameError, match="did you mean 9-101"):
        find(session.station, "9-110", "07", at)


def test_a_room_is_found_by_its_name_on_the_timetable(session: Any) -> None:
    assert find(session.station, "9号楼101", None, session.local("2024-11-23 09:00:05")).room_id == ROOM


def test_a_range_that_ends_before_it_begins_is_refused(session: Any) -> None:
    at = session.local("2024-11-23 09:00:05")
    with pytest.raises(UserError, match="ends before it begins"):
        find(session.station, ROOM, None, at, at - timedelta(seconds=1))


def test_the_json_says_all_of_it_under_its_schema(session: Any) -> None:
    body = find_json(find(session.station, ROOM, "07", session.local("2024-11-23 09:00:09")))
    assert body["schema"] == "kaozheng/find/1"
    assert body["at"] == "2024-11-23T01:00:09.000Z"
    assert body["found"] is True
    lost = next(
        camera for camera in (*body["cameras"], *body["blind_cameras"]) if camera["camera"] == "back-right"
    )
    assert lost["at_moment"] == "gap"
    assert lost["gaps"][0]["cause"] == "stream_lost"
    assert lost["sight"]["picture_px"] == [1920, 1080]
    assert all(len(segment["sha256"]) == 64 for segment in lost["segments"])
