"""Cases, holds and deletions in any order, with crashes: nothing held is deleted, nothing is without its record."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from kaozheng_service.access.actor import Actor, Role
from kaozheng_service.cases import desk
from kaozheng_service.cases.book import load_cases
from kaozheng_service.cases.case import fold
from kaozheng_service.cases.errors import NotAllowedError
from kaozheng_service.cases.holds import MARGIN, list_holds, place_hold, release_hold
from kaozheng_service.cases.steps import State
from kaozheng_service.cases.tables import CaseStep
from kaozheng_service.database import Segment, Window
from kaozheng_service.errors import UserError
from kaozheng_service.retention.approval import approve_deletion
from kaozheng_service.retention.run import run_deletions
from sqlalchemy import select, update

HEAD = Actor("wang.jun", "王军", Role.HEAD)
CENTRE = Actor("li.na", "李娜", Role.CENTRE)
PRESENT = (Actor("zhao.min", "赵敏", Role.OFFICE), Actor("qian.bo", "钱博", Role.QUALITY))
ROOM = "9-101"
LATER = datetime(2029, 12, 1, tzinfo=UTC)
POINTS = ("record", "unlink", "after", "row")
# Minutes between the three files of a camera: farther apart than the margin of a hold.
APART_S = 300


def machine_of(small_archives, media, crash_at, crash):
    class Machine(RuleBasedStateMachine):
        """Beside the service it keeps its own account of what is held, in ranges of seconds."""

        @initialize()
        def begin(self):
            self.folder = Path(tempfile.mkdtemp(prefix="disputes-"))
            archive = small_archives.SmallArchive.make(self.folder, media)
            self.station = archive.station
            self.begins = archive.local("2024-11-23 09:00:00")
            ends = self.begins + timedelta(seconds=4 * APART_S)
            window = archive.window(self.begins, ends, room=ROOM, closed=False)
            for camera in ("front-left", "back-right"):
                archive.take(window, camera, self.begins, 4, segment_s=APART_S)
            archive.close(window)
            with self.station.sessions.begin() as session:
                session.execute(update(Window).values(batch="b"))
                self.rows = [
                    (one.path, one.camera_id, one.starts_at, one.ends_at)
                    for one in session.scalars(select(Segment))
                ]
            self.at = LATER
            self.holds: dict[str, tuple[tuple[str, ...], int]] = {}
            self.cases: dict[str, int] = {}
            self.ever: set[str] = set()

        def teardown(self):
            shutil.rmtree(getattr(self, "folder", "/nonexistent"), ignore_errors=True)

        def span(self, part):
            first = self.begins + timedelta(seconds=part * APART_S + 100)
            return first, first + timedelta(seconds=50)

        def held_paths(self):
            found = set()
            ranges = [*self.holds.values(), *(((), part) for part in self.cases.values())]
            for cameras, part in ranges:
                first, last = self.span(part)
                for path, camera, starts_at, ends_at in self.rows:
                    if (
                        (not cameras or camera in cameras)
                        and starts_at < last + MARGIN
                        and ends_at > first - MARGIN
                    ):
                        found.add(path)
            return found

        def there(self):
            return {path for path, *_ in self.rows if (self.station.archive / path).is_file()}

        @rule(part=st.integers(0, 3), camera=st.sampled_from([(), ("front-left",), ("back-right",)]))
        def hold(self, part, camera):
            row = place_hold(self.station, ROOM, *self.span(part), "争议", CENTRE, self.at, cameras=camera)
            self.holds[row.id] = (camera, part)

        @precondition(lambda self: self.holds)
        @rule(data=st.data())
        def release(self, data):
            name = data.draw(st.sampled_from(sorted(self.holds)))
            release_hold(self.station, name, "完", HEAD, self.at)
            del self.holds[name]

        @rule(part=st.integers(0, 3))
        def open_case(self, part):
            first, last = self.span(part)
            case = desk.open_for(self.station, desk.Complaint("", "异议", ROOM, first, last), CENTRE, self.at)
            self.cases[case.id] = part

        @precondition(lambda self: self.cases)
        @rule(
            data=st.data(),
            step=st.sampled_from(
                ["note", "request", "approve", "refuse", "confirm", "emergency", "review", "close"]
            ),
        )
        def step(self, data, step):
            name = data.draw(st.sampled_from(sorted(self.cases)))
            who = data.draw(st.sampled_from(PRESENT))
            self.at += timedelta(seconds=30)
            do = {
                "note": lambda: desk.note(self.station, name, "备注", CENTRE, self.at),
                "request": lambda: desk.request_access(self.station, name, "看", CENTRE, self.at),
                "approve": lambda: desk.approve(self.station, name, HEAD, self.at),
                "refuse": lambda: desk.refuse(self.station, name, "不准", HEAD, self.at),
                "confirm": lambda: desk.confirm_present(self.station, name, who, self.at),
                "emergency": lambda: desk.open_emergency(self.station, name, "急", CENTRE, self.at),
                "review": lambda: desk.review(self.station, name, "属实", HEAD, self.at),
                "close": lambda: desk.close(self.station, name, "完", CENTRE, self.at),
            }
            size = self.station.log.size
            try:
                case = do[step]()
            except (NotAllowedError, UserError):
                assert self.station.log.size == size, "what is refused leaves no record"
                return
            if case.state is State.CLOSED:
                del self.cases[name]

        @rule(who=st.sampled_from([HEAD, CENTRE]))
        def approve_deletion(self, who):
            with contextlib.suppress(NotAllowedError, UserError):
                approve_deletion(self.station, "b", who, self.at)

        @rule()
        def run(self):
            held, before = self.held_paths(), self.there()
            run_deletions(self.station, self.at)
            assert before - self.there() <= before - held

        @rule(point=st.sampled_from(POINTS), count=st.integers(1, 3))
        def run_and_die(self, point, count):
            held, before = self.held_paths(), self.there()
            with crash_at(point, count), contextlib.suppress(crash):
                run_deletions(self.station, self.at)
            assert before - self.there() <= before - held

        @invariant()
        def nothing_is_missing_without_its_tombstone(self):
            if not hasattr(self, "station"):
                return
            bodies = [json.loads(entry) for entry in self.station.log.entries()]
            stones = [body["path"] for body in bodies if body["kind"] == "segment.deleted"]
            assert len(stones) == len(set(stones))
            assert {path for path, *_ in self.rows} - self.there() <= set(stones)

        @invariant()
        def every_state_has_its_record(self):
            if not hasattr(self, "station"):
                return
            bodies = [json.loads(entry) for entry in self.station.log.entries()]
            signed = [
                (one["case"], one["number"], one["step"]) for one in bodies if one["kind"] == "case.step"
            ]
            with self.station.sessions() as session:
                rows = [
                    (one.case_id, one.number, one.step)
                    for one in session.scalars(select(CaseStep).order_by(CaseStep.id))
                ]
            assert signed == rows
            for case in load_cases(self.station):
                assert fold(case.id, case.steps) == case
                assert (case.state is State.CLOSED) == (case.id not in self.cases)
            in_force = {one.id for one in list_holds(self.station, in_force=True)}
            assert in_force == set(self.holds)

    return Machine


def test_nothing_held_is_deleted_and_nothing_is_without_its_record(small_archives, h264_segments):
    import importlib.util
    import sys

    spec = importlib.util.spec_from_file_location(
        "retention_cases", Path(__file__).with_name("test_retention.py")
    )
    beside = sys.modules.get("retention_cases") or importlib.util.module_from_spec(spec)
    if "retention_cases" not in sys.modules:
        sys.modules["retention_cases"] = beside
        spec.loader.exec_module(beside)
    machine = machine_of(small_archives, h264_segments, beside.crash_at, beside.CrashError)
    machine.TestCase.settings = settings(
        max_examples=12,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(machine, settings=machine.TestCase.settings)
