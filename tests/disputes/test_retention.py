"""What is deleted when its time is over, by whose leave, and what never is."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaozheng_service.access.actor import Actor, Role
from kaozheng_service.cases.errors import NotAllowedError
from kaozheng_service.cases.holds import held, place_hold, release_hold
from kaozheng_service.cases.tables import Hold
from kaozheng_service.database import Segment, Window
from kaozheng_service.disputes.export import ExportRequest, export_bag
from kaozheng_service.disputes.find import find
from kaozheng_service.disputes.verify import verify_archive, verify_bag
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.retention.approval import approve_deletion
from kaozheng_service.retention.due import due_day, stored_units
from kaozheng_service.retention.preview import full_day, preview_retention
from kaozheng_service.retention.run import run_deletions
from kaozheng_service.retention.tables import DeletionItem
from kaozheng_service.second.copier import Copier
from kaozheng_service.second.target import begin, target_of
from kaozheng_service.station import open_station
from sqlalchemy import delete, select, update

HEAD = Actor("wang.jun", "王军", Role.HEAD)
CENTRE = Actor("li.na", "李娜", Role.CENTRE)
ROOM = "9-101"
LATER = datetime(2029, 12, 1, tzinfo=UTC)


class Old:
    """Two windows of one batch in November 2024, each 6 s on two cameras; due on 2029-11-24."""

    def __init__(self, archive):
        self.archive, self.station = archive, archive.station
        self.days = [archive.local(f"2024-11-{day} 09:00:00") for day in (23, 24)]
        self.windows = []
        for begins in self.days:
            window = archive.window(begins, begins + timedelta(seconds=6), room=ROOM, closed=False)
            for camera in ("front-left", "back-right"):
                archive.take(window, camera, begins, 3)
            archive.close(window)
            self.windows.append(window)
        with self.station.sessions.begin() as session:
            session.execute(update(Window).values(batch="2024-02"))

    def files(self):
        return sorted(
            path.relative_to(self.station.archive).as_posix()
            for path in self.station.archive.rglob("seg-*.mp4")
        )

    def approve(self, at=LATER):
        approve_deletion(self.station, "2024-02", HEAD, at)
        return approve_deletion(self.station, "2024-02", CENTRE, at)

    def tombstones(self):
        bodies = [json.loads(entry) for entry in self.station.log.entries()]
        return {body["path"]: body for body in bodies if body["kind"] == "segment.deleted"}


@pytest.fixture
def old(small_archive):
    return Old(small_archive)


@given(st.dates(date(2000, 1, 1), date(2080, 12, 31)), st.integers(1, 50))
def test_the_day_something_is_due_is_never_before_so_many_years_are_over(last, years):
    due = due_day(last, years)
    assert due.year - last.year == years
    assert (due.month, due.day) >= (last.month, last.day)
    assert (due - last).days >= 365 * years


def test_a_batch_is_due_as_one_after_its_last_window(old):
    with old.station.sessions() as session:
        (unit,) = stored_units(old.station.site, session)
    assert (unit.batch, unit.due_on) == ("2024-02", date(2029, 11, 24))
    assert sorted(unit.windows) == sorted(old.windows)
    with pytest.raises(UserError, match="nothing of batch"):
        approve_deletion(old.station, "2024-02", HEAD, datetime(2029, 11, 23, 12, tzinfo=UTC))
    (before,) = preview_retention(old.station, datetime(2029, 11, 23, 12, tzinfo=UTC)).batches
    assert (before.is_due, before.files, before.deletable_files) == (False, 12, 0)


def test_a_batch_with_a_window_that_is_not_closed_is_never_due(old):
    with old.station.sessions.begin() as session:
        session.get_one(Window, old.windows[0]).closed_leaf = None
    with old.station.sessions() as session:
        assert stored_units(old.station.site, session) == []


def test_it_takes_head_and_centre_and_nothing_goes_before(old):
    with pytest.raises(NotAllowedError):
        approve_deletion(old.station, "2024-02", Actor("x.y", "谢", Role.OFFICE), LATER)
    first = approve_deletion(old.station, "2024-02", HEAD, LATER)
    assert first.waits_for == (Role.CENTRE,)
    for again in (HEAD, Actor("feng.yu", "冯玉", Role.HEAD)):
        with pytest.raises(NotAllowedError, match="needs the other"):
            approve_deletion(old.station, "2024-02", again, LATER)
    before = old.files()
    assert run_deletions(old.station, LATER).waiting == [first.id]
    assert old.files() == before
    assert approve_deletion(old.station, "2024-02", CENTRE, LATER).waits_for == ()
    done = run_deletions(old.station, LATER)
    assert (done.files, done.kept, done.faults) == (12, {}, {})
    assert old.files() == []
    stones = old.tombstones()
    assert sorted(stones) == before
    assert {tuple(one["approved_by"]) for one in stones.values()} == {("wang.jun", "li.na")}
    assert run_deletions(old.station, LATER).files == 0
    with old.station.sessions() as session:
        assert all(row.deleted_leaf is not None for row in session.scalars(select(Segment)))


def test_one_account_with_two_roles_is_not_two(old):
    approve_deletion(old.station, "2024-02", HEAD, LATER)
    with pytest.raises(NotAllowedError):
        approve_deletion(old.station, "2024-02", Actor("wang.jun", "王军", Role.CENTRE), LATER)


def test_what_is_deleted_is_said_to_be_wherever_it_is_asked_for(old):
    old.approve()
    run_deletions(old.station, LATER)
    at = old.days[0] + timedelta(seconds=1)
    found = find(old.station, ROOM, None, at)
    assert not found.found
    assert all(
        camera.deleted_leaf is not None
        for camera in found.cameras
        if camera.camera_id in ("front-left", "back-right")
    )
    request = ExportRequest(ROOM, ("front-left",), at, at + timedelta(seconds=2), "申诉")
    bag = old.station.site.folder / "bag"
    assert export_bag(old.station, request, bag).segments == 0
    assert verify_bag(bag).outcome == "intact"
    for report in (verify_bag(bag), verify_archive(old.station)):
        assert "deleted" in {finding.code for finding in report.findings}
        assert "missing" not in {finding.code for finding in report.findings}


def test_a_hold_keeps_its_cameras_and_range_also_when_it_comes_after_the_approval(old):
    old.approve()
    begins = old.days[0]
    hold = place_hold(
        old.station,
        ROOM,
        begins,
        begins + timedelta(seconds=1),
        "争议",
        CENTRE,
        LATER,
        cameras=["front-left"],
    )
    done = run_deletions(old.station, LATER)
    # All of a range's minute around it: of this camera and day all three files.
    assert (done.files, len(done.kept)) == (9, 3)
    assert set(done.kept.values()) == {hold.id}
    assert all("front-left" in path and "2024-11-23" in path for path in old.files())
    release_hold(old.station, hold.id, "完", HEAD, LATER)
    assert run_deletions(old.station, LATER).files == 3


@pytest.mark.parametrize("lost", ["row", "release_forged"])
def test_a_hold_that_only_the_log_knows_holds(old, lost):
    begins = old.days[0]
    hold = place_hold(old.station, ROOM, begins, begins + timedelta(seconds=6), "争议", CENTRE, LATER)
    with old.station.sessions.begin() as session:
        if lost == "row":
            session.execute(delete(Hold))
        else:
            session.execute(
                update(Hold).values(released_at=LATER, released_leaf=0, released_by="x", release_reason="x")
            )
    assert held(old.station, ROOM, "front-left", begins, begins + timedelta(seconds=2)) == (hold.id,)
    old.approve()
    assert run_deletions(old.station, LATER).files == 6


def test_a_hold_that_only_the_database_knows_holds(old):
    begins = old.days[0]
    with old.station.sessions.begin() as session:
        session.add(
            Hold(
                id="hold-2029-0009",
                case_id="",
                room_id=ROOM,
                camera_ids="",
                starts_at=begins,
                ends_at=begins + timedelta(seconds=6),
                reason="x",
                placed_at=LATER,
                placed_by="li.na",
            )
        )
    assert held(old.station, ROOM, "front-left", begins, begins + timedelta(seconds=2)) == ("hold-2029-0009",)
    assert held(old.station, ROOM, "front-left", old.days[1], old.days[1] + timedelta(seconds=2)) == ()


def test_an_approval_is_of_its_list_alone(old):
    begins = old.days[0]
    hold = place_hold(old.station, ROOM, begins, begins + timedelta(seconds=6), "争议", CENTRE, LATER)
    assert old.approve().files == 6
    release_hold(old.station, hold.id, "完", HEAD, LATER)
    assert run_deletions(old.station, LATER).files == 6
    assert len(old.files()) == 6
    with pytest.raises(UserError):
        approve_deletion(old.station, "2024-99", HEAD, LATER)
    # What a hand wrote into the list was approved by nobody.
    with old.station.sessions.begin() as session:
        row = session.scalars(select(Segment).where(Segment.deleted_leaf.is_(None))).first()
        deletion = session.scalars(select(DeletionItem)).first().deletion_id
        session.add(
            DeletionItem(deletion_id=deletion, segment_id=row.id, backfilled=False, path=row.path, bytes=1)
        )
    done = run_deletions(old.station, LATER)
    assert (done.files, done.waiting) == (0, [deletion])


def test_a_file_that_is_missing_without_a_tombstone_gets_none(old):
    old.approve()
    lost = old.files()[0]
    (old.station.archive / lost).unlink()
    done = run_deletions(old.station, LATER)
    assert list(done.faults) == [lost]
    assert lost not in old.tombstones()


def test_longer_years_in_the_site_file_keep_what_was_approved_before(old):
    old.approve()
    site = old.station.site.model_copy(
        update={"retention": old.station.site.retention.model_copy(update={"batches": {"2024-02": 10}})}
    )
    done = run_deletions(open_station(site), LATER)
    assert (done.files, len(done.kept)) == (0, 12)


class CrashError(Exception):
    pass


@contextmanager
def crash_at(point, count):
    """Die at a point of the ``count``-th file: ``record``, ``unlink`` (before it), ``after`` it, or ``row``."""
    from kaozheng_service.evidence.log import EvidenceLog
    from kaozheng_service.retention import run
    from kaozheng_service.retention.records import SegmentDeleted
    from sqlalchemy.orm import Session

    seen = {"n": 0}
    append, unlink, commit = EvidenceLog.append, run._unlink, Session.commit

    def dying(real, mine, *, before):
        def call(*arguments):
            if not mine(*arguments):
                return real(*arguments)
            seen["n"] += 1
            if seen["n"] == count and before:
                raise CrashError
            value = real(*arguments)
            if seen["n"] == count:
                raise CrashError
            return value

        return call

    with pytest.MonkeyPatch.context() as patch:
        if point == "record":
            patch.setattr(
                EvidenceLog,
                "append",
                dying(append, lambda _, record: isinstance(record, SegmentDeleted), before=False),
            )
        elif point == "row":
            mine = lambda session: any(isinstance(one, Segment) for one in session.dirty)  # noqa: E731
            patch.setattr(Session, "commit", dying(commit, mine, before=True))
        else:
            patch.setattr(run, "_unlink", dying(unlink, lambda _: True, before=point == "unlink"))
        yield


@pytest.mark.parametrize("point", ["record", "unlink", "after", "row"])
def test_a_crash_at_any_point_leaves_no_file_missing_without_its_tombstone(old, point):
    old.approve()
    before = old.files()
    with crash_at(point, 4), pytest.raises(CrashError):
        run_deletions(old.station, LATER)
    assert set(before) - set(old.files()) <= set(old.tombstones())
    station = open_station(old.station.site)
    done = run_deletions(station, LATER)
    assert done.faults == {}
    assert old.files() == []
    stones = [json.loads(entry) for entry in station.log.entries() if b'"segment.deleted"' in entry]
    assert sorted(one["path"] for one in stones) == before  # each once


def test_a_file_whose_tombstone_was_written_is_kept_when_it_is_held_before_it_goes(old):
    old.approve()
    with crash_at("record", 1), pytest.raises(CrashError):
        run_deletions(old.station, LATER)
    (path,) = old.tombstones()
    begins = old.days[0 if "2024-11-23" in path else 1]
    place_hold(old.station, ROOM, begins, begins + timedelta(seconds=6), "争议", CENTRE, LATER)
    run_deletions(old.station, LATER)
    assert path in old.files()


def test_the_second_copy_goes_too_and_nothing_goes_while_it_is_away(old, tmp_path):
    site = old.station.site.model_copy(
        update={
            "storage": old.station.site.storage.model_copy(
                update={
                    "second": type(old.station.site.storage)
                    .model_validate({"second": {"path": str(tmp_path / "second")}})
                    .second
                }
            )
        }
    )
    station = open_station(site)
    target = target_of(site)
    begin(target, station.sessions)
    copier = Copier(target, station.sessions, station.log)
    while copier.round():
        pass
    copies = lambda: sorted(target.footage.rglob("seg-*.mp4"))  # noqa: E731
    assert len(copies()) == 12
    old.approve()
    target.root.rename(tmp_path / "away")
    with pytest.raises(ServiceError, match="second"):
        run_deletions(station, LATER)
    assert len(old.files()) == 12
    (tmp_path / "away").rename(target.root)
    assert run_deletions(station, LATER).files == 12
    assert (copies(), old.files()) == ([], [])
    copier.round()
    assert (copier.trouble, copies()) == ("", [])


def test_when_the_disk_is_full_and_what_deletion_gains():
    today = date(2026, 1, 1)
    assert full_day(today, 1000, 10, []) == date(2026, 4, 11)
    assert full_day(today, 1000, 10, [(date(2026, 2, 1), 500)]) == date(2026, 5, 31)
    assert full_day(today, 1000, 10, [(date(2027, 1, 1), 500)]) == date(2026, 4, 11)
    assert full_day(today, 1000, 0.01, []) is None
    assert full_day(today, -5, 10, []) == today


@given(
    st.integers(0, 10**6),
    st.integers(1, 1000),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 10**5)), max_size=5),
)
def test_deleting_more_never_fills_the_disk_earlier(usable, rate, freed):
    today = date(2026, 1, 1)
    with_them = full_day(today, usable, rate, [(today + timedelta(days=day), size) for day, size in freed])
    without = full_day(today, usable, rate, [])
    assert with_them is None or (without is not None and with_them >= without)


def test_by_commands(old):
    from kaozheng_service.cli.commands import app
    from typer.testing import CliRunner

    config = ["--config", str(old.station.site.folder / "site.yaml")]
    done = CliRunner().invoke(app, ["retention", "preview", "--json", *config])
    body = json.loads(done.stdout)
    assert (done.exit_code, body["schema"]) == (0, "kaozheng/retention/1")
    assert [(one["batch"], one["files"], one["is_due"]) for one in body["batches"]] == [
        ("2024-02", 12, False)
    ]
    done = CliRunner().invoke(app, ["retention", "run", "--yes", "--json", *config])
    assert (done.exit_code, json.loads(done.stdout)["files"]) == (0, 0)
    done = CliRunner().invoke(app, ["retention", "preview", *config], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert "未到期" in done.stdout
