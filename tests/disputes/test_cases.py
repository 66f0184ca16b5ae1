"""A complaint's way: opened, approved, two people present, looked at, closed; and everything that is refused."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from kaozheng_service.access.actor import Actor, Role
from kaozheng_service.alarms.kinds import AlarmKind
from kaozheng_service.cases import desk
from kaozheng_service.cases.book import load_case, load_cases
from kaozheng_service.cases.errors import NotAllowedError
from kaozheng_service.cases.register import note_view, registered
from kaozheng_service.cases.steps import State
from kaozheng_service.cases.tables import CaseStep, View
from kaozheng_service.database import Alarm
from kaozheng_service.disputes.access_rights import CaseGrants, Grant, Refusal
from kaozheng_service.errors import UserError
from kaozheng_service.recording.catching_up import catch_up
from kaozheng_service.station import DATABASE, open_station
from sqlalchemy import select, update

ROOM = "9-101"


def records(centre, kind):
    bodies = [json.loads(entry) for entry in centre.station.log.entries()]
    return [body for body in bodies if body["kind"] == kind]


def ask(centre, actor, *, camera="front-left", first=0.0, last=10.0, at=None, room=ROOM):
    begins = centre.begins + timedelta(seconds=first), centre.begins + timedelta(seconds=last)
    return CaseGrants(centre.station).may_watch(actor, room, camera, *begins, at or centre.at)


def test_a_case_is_numbered_within_its_year_and_every_step_is_signed_with_who_took_it(centre, people):
    first, second = centre.open(), centre.open()
    assert (first.id, second.id) == ("case-2024-0001", "case-2024-0002")
    desk.note(centre.station, first.id, "已电话告知", people["office"], centre.later(hours=1))
    case = load_case(centre.station, first.id)
    assert case.state is State.OPEN
    assert [one.by.account for one in case.steps] == ["li.na", "zhao.min"]
    signed = records(centre, "case.step")
    assert [(one["case"], one["number"], one["account"], one["role"]) for one in signed] == [
        ("case-2024-0001", 1, "li.na", "centre"),
        ("case-2024-0002", 1, "li.na", "centre"),
        ("case-2024-0001", 2, "zhao.min", "office"),
    ]


def test_a_requesters_name_is_in_no_file_of_the_state_and_is_read_with_the_key(centre):
    case = centre.open(requester="司马相如")
    from kaozheng_service.cases.facts import requester_of

    assert requester_of(centre.station, case) == "司马相如"
    for path in centre.station.state.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert "司马相如".encode() not in raw, path
            assert b"\\u53f8\\u9a6c" not in raw, path
    key = centre.station.state / "keys" / "names.key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_deadline_is_the_end_of_the_third_working_day_and_unknown_without_a_result_day(centre, people):
    case = centre.open()
    rules, site = centre.station.site.cases, centre.station.site
    assert case.deadline(site.calendar, rules.result_days, site.zone) is None
    # Friday: Monday, Tuesday, Wednesday are the three.
    case = desk.note(
        centre.station, case.id, "成绩已公布", people["centre"], centre.at, results_on=date(2024, 11, 29)
    )
    assert case.deadline(site.calendar, rules.result_days, site.zone) == centre.archive.local(
        "2024-12-05 00:00"
    )


def test_without_approval_and_two_people_nobody_sees_anything(centre, people):
    refusal = ask(centre, people["office"])
    assert isinstance(refusal, Refusal)
    assert [need.kind for need in refusal.needs] == ["case", "approval", "two_present"]
    case = centre.open()
    assert [need.kind for need in ask(centre, people["office"]).needs] == ["approval", "two_present"]
    desk.request_access(centre.station, case.id, "看启封", people["centre"], centre.later(minutes=1))
    desk.approve(centre.station, case.id, people["head"], centre.later(minutes=1))
    (need,) = ask(centre, people["office"]).needs
    assert need.kind == "two_present"
    assert need.given_by == (Role.OFFICE, Role.QUALITY)
    desk.confirm_present(centre.station, case.id, people["office"], centre.later(minutes=1))
    assert isinstance(ask(centre, people["office"]), Refusal)
    desk.confirm_present(centre.station, case.id, people["quality"], centre.later(minutes=1))
    assert ask(centre, people["office"]) == Grant(case.id, "看启封")
    assert isinstance(ask(centre, people["quality"]), Grant)


def test_a_viewing_is_only_for_its_two_its_cameras_its_range_and_its_hour(centre, people):
    case = centre.open()
    first, last = centre.begins + timedelta(seconds=2), centre.begins + timedelta(seconds=6)
    desk.request_access(
        centre.station,
        case.id,
        "看启封",
        people["centre"],
        centre.later(minutes=1),
        cameras=["front-left"],
        starts_at=first,
        ends_at=last,
        minutes=10,
    )
    desk.approve(centre.station, case.id, people["head"], centre.later(minutes=1))
    desk.confirm_present(centre.station, case.id, people["quality"], centre.later(minutes=1))
    desk.confirm_present(centre.station, case.id, people["office"], centre.later(minutes=1))
    edge = centre.station.site.recording.segment_s
    assert isinstance(ask(centre, people["office"], first=2, last=6), Grant)
    assert isinstance(ask(centre, people["office"], first=2 - edge, last=6 + edge), Grant)
    assert isinstance(ask(centre, people["office"], first=2, last=6.1 + edge), Refusal)
    assert isinstance(ask(centre, people["office"], first=1.9 - edge, last=6), Refusal)
    assert isinstance(ask(centre, people["office"], camera="back-right", first=2, last=6), Refusal)
    assert isinstance(ask(centre, people["office"], room="9-201", first=2, last=6), Refusal)
    for other in ("head", "centre", "office_2", "staff"):
        assert isinstance(ask(centre, people[other], first=2, last=6), Refusal), other
    over = centre.at + timedelta(minutes=10)
    assert isinstance(ask(centre, people["office"], first=2, last=6, at=over - timedelta(seconds=1)), Grant)
    assert isinstance(ask(centre, people["office"], first=2, last=6, at=over), Refusal)
    desk.close(centre.station, case.id, "核实无误", people["centre"], centre.later(minutes=1))
    assert isinstance(ask(centre, people["office"], first=2, last=6), Refusal)


def test_two_of_one_role_or_one_twice_or_too_far_apart_are_not_two_present(centre, people):
    case = centre.approved()
    desk.confirm_present(centre.station, case.id, people["office"], centre.later(minutes=1))
    with pytest.raises(NotAllowedError, match="different roles"):
        desk.confirm_present(centre.station, case.id, people["office_2"], centre.later(minutes=1))
    desk.confirm_present(centre.station, case.id, people["office"], centre.later(minutes=1))
    assert isinstance(ask(centre, people["office"]), Refusal)
    apart = centre.station.site.cases.together_min + 1
    desk.confirm_present(centre.station, case.id, people["quality"], centre.later(minutes=apart))
    assert isinstance(ask(centre, people["quality"]), Refusal)
    desk.confirm_present(centre.station, case.id, people["office"], centre.later(minutes=1))
    assert isinstance(ask(centre, people["quality"]), Grant)
    with pytest.raises(NotAllowedError, match="was used"):
        desk.confirm_present(centre.station, case.id, people["quality"], centre.later(minutes=1))


@pytest.mark.parametrize("who", ["centre", "office", "quality", "staff"])
def test_only_the_head_approves(centre, people, who):
    case = centre.open()
    desk.request_access(centre.station, case.id, "看启封", people["centre"], centre.later(minutes=1))
    with pytest.raises(NotAllowedError, match="head of the appraisal centre"):
        desk.approve(centre.station, case.id, people[who], centre.later(minutes=1))
    assert load_case(centre.station, case.id).state is State.REQUESTED


def test_a_head_does_not_approve_what_the_same_head_asked_for(centre, people):
    case = centre.open()
    desk.request_access(centre.station, case.id, "看启封", people["head"], centre.later(minutes=1))
    with pytest.raises(NotAllowedError, match="another account"):
        desk.approve(centre.station, case.id, people["head"], centre.later(minutes=1))
    other = Actor("feng.yu", "冯玉", Role.HEAD)
    assert desk.approve(centre.station, case.id, other, centre.later(minutes=1)).state is State.APPROVED


def test_steps_out_of_order_are_refused_with_what_is_needed_and_leave_no_record(centre, people):
    case = centre.open()
    size = centre.station.log.size
    with pytest.raises(NotAllowedError, match="requested first"):
        desk.approve(centre.station, case.id, people["head"], centre.at)
    with pytest.raises(NotAllowedError, match="requested first"):
        desk.confirm_present(centre.station, case.id, people["office"], centre.at)
    desk.close(centre.station, case.id, "撤诉", people["centre"], centre.at)
    for step in (
        lambda: desk.note(centre.station, case.id, "再看", people["centre"], centre.at),
        lambda: desk.request_access(centre.station, case.id, "再看", people["centre"], centre.at),
        lambda: desk.close(centre.station, case.id, "再看", people["centre"], centre.at),
    ):
        with pytest.raises(NotAllowedError, match="open another case"):
            step()
    assert centre.station.log.size == size + 1


def test_an_access_goes_not_beyond_the_cases_range_and_cameras(centre, people):
    case = centre.open(cameras=("front-left",))
    with pytest.raises(UserError, match="beyond the case's"):
        desk.request_access(
            centre.station,
            case.id,
            "看",
            people["centre"],
            centre.at,
            ends_at=centre.begins + timedelta(seconds=21),
        )
    with pytest.raises(UserError, match="not of this case"):
        desk.request_access(
            centre.station, case.id, "看", people["centre"], centre.at, cameras=["back-right"]
        )


def test_an_emergency_is_one_persons_for_a_quarter_of_an_hour_loud_and_open_until_reviewed(centre, people):
    case = centre.open()
    desk.open_emergency(centre.station, case.id, "有人受伤", people["centre"], centre.later(minutes=1))
    opened = centre.at
    grant = ask(centre, people["centre"])
    assert isinstance(grant, Grant)
    assert "有人受伤" in grant.why
    assert isinstance(ask(centre, people["head"]), Refusal)
    assert isinstance(ask(centre, people["centre"], at=opened + timedelta(minutes=15)), Refusal)
    with centre.station.sessions() as session:
        (alarm,) = session.scalars(select(Alarm))
    assert alarm.kind == AlarmKind.EMERGENCY_ACCESS
    assert alarm.leaf is not None
    assert len(records(centre, "alarm.raised")) == 1
    assert [one.number for _, one in registered(centre.station).unreviewed] == [1]
    with pytest.raises(NotAllowedError, match="review"):
        desk.close(centre.station, case.id, "完", people["centre"], centre.later(hours=1))
    with pytest.raises(NotAllowedError):
        desk.review(centre.station, case.id, "属实", people["centre"], centre.at)
    desk.review(centre.station, case.id, "属实，处置得当", people["head"], centre.later(hours=1))
    assert not registered(centre.station).unreviewed
    desk.close(centre.station, case.id, "完", people["centre"], centre.later(hours=1))


@pytest.mark.parametrize("who", ["office", "quality", "staff"])
def test_an_emergency_is_not_for_everybody(centre, people, who):
    case = centre.open()
    with pytest.raises(NotAllowedError):
        desk.open_emergency(centre.station, case.id, "想看", people[who], centre.at)
    with centre.station.sessions() as session:
        assert not session.scalars(select(Alarm)).all()


def test_a_step_whose_record_failed_grants_nothing_and_gets_its_record_at_the_next(centre, people):
    case = centre.approved()
    desk.confirm_present(centre.station, case.id, people["office"], centre.later(minutes=1))
    desk.confirm_present(centre.station, case.id, people["quality"], centre.later(minutes=1))
    size = centre.station.log.size
    with centre.station.sessions.begin() as session:  # as a crash between row and record leaves it
        last = select(CaseStep.id).order_by(CaseStep.id.desc()).limit(1).scalar_subquery()
        session.execute(update(CaseStep).where(CaseStep.id == last).values(leaf=None))
    assert isinstance(ask(centre, people["quality"]), Refusal)
    desk.note(centre.station, case.id, "继续", people["centre"], centre.at)
    assert centre.station.log.size == size + 1  # found again, not written twice
    assert isinstance(ask(centre, people["quality"]), Grant)


def test_cases_holds_and_looks_come_back_from_the_log_when_the_database_is_lost(centre, people):
    from kaozheng_service.cases.holds import list_holds, place_hold, release_hold

    case = centre.approved()
    span = centre.begins, centre.begins + timedelta(seconds=20)
    kept = place_hold(centre.station, ROOM, *span, "争议", people["centre"], centre.at, case_id=case.id)
    gone = place_hold(centre.station, ROOM, *span, "误", people["centre"], centre.at, cameras=["front-left"])
    release_hold(centre.station, gone.id, "误", people["head"], centre.later(minutes=1))
    note_view(centre.station, people["office"], ROOM, ["front-left"], *span, case.id, "看启封", centre.at)

    def everything(station):
        views = [(one.account, one.starts_at, one.case_id, one.leaf) for one in registered(station).views]
        holds = [(one.id, one.case_id, one.released_at, one.released_leaf) for one in list_holds(station)]
        return load_cases(station), holds, views

    before = everything(centre.station)
    centre.station.sessions.kw["bind"].dispose()
    for path in centre.station.state.glob(f"{DATABASE}*"):
        path.unlink()
    again = open_station(centre.station.site)
    assert everything(again) == before
    assert catch_up(again) == 0
    assert kept.id in {one.id for one in list_holds(again, in_force=True)}


def test_a_look_is_a_row_and_a_record_and_stands_on_paper(centre, people, tmp_path):
    from kaozheng_service.cases.printing import print_case, print_register

    case = centre.approved()
    span = centre.begins, centre.begins + timedelta(seconds=20)
    row = note_view(
        centre.station, people["office"], ROOM, ["front-left"], *span, case.id, "看启封", centre.at
    )
    assert row.leaf is not None
    (signed,) = records(centre, "access")
    assert (signed["account"], signed["case"], signed["why"]) == ("zhao.min", case.id, "看启封")
    with centre.station.sessions() as session:
        assert len(session.scalars(select(View)).all()) == 1
    for made in (
        print_case(centre.station, case.id, tmp_path / "case.pdf", centre.at),
        print_register(centre.station, tmp_path / "register.pdf", centre.at),
    ):
        assert made.read_bytes().startswith(b"%PDF")
        with pytest.raises(UserError, match="not written over"):
            print_case(centre.station, case.id, made, centre.at)


def test_the_whole_way_by_commands(centre, tmp_path):
    centre.with_accounts()
    run = centre.run
    code, said = run(
        "case", "open", "--as", "li.na", "--reason", "座位17启封", "--window", centre.window, "--json"
    )
    assert code == 0
    body = json.loads(said)
    assert (body["schema"], body["state"], body["window"]) == ("kaozheng/case/1", "open", centre.window)
    case = body["id"]
    assert run("case", "confirm", case, "--as", "zhao.min")[0] == 1
    code, said = run("case", "approve", case, "--as", "wang.jun")
    assert code == 1
    assert "requested first" in said
    assert run("case", "request-access", case, "--why", "看启封", "--as", "li.na")[0] == 0
    assert run("case", "approve", case, "--as", "nobody")[0] == 2
    assert run("case", "approve", case, "--as", "wang.jun")[0] == 0
    assert run("case", "confirm", case, "--as", "zhao.min")[0] == 0
    code, said = run("case", "confirm", case, "--as", "qian.bo", "--json")
    assert code == 0
    assert json.loads(said)["viewing_until"] is not None
    assert all(step["console"] for step in json.loads(said)["steps"])
    assert run("case", "hold", case, "--reason", "争议", "--as", "li.na")[0] == 0
    held = json.loads(run("case", "show", case, "--json")[1])["holds"]
    assert run("case", "release", held[0]["id"], "--reason", "完", "--as", "li.na")[0] == 1
    assert run("case", "release", held[0]["id"], "--reason", "完", "--as", "wang.jun")[0] == 0
    code, said = run("case", "list")
    assert code == 0
    assert case in said
    assert run("case", "close", case, "--result", "核实无误", "--as", "li.na")[0] == 0
    assert json.loads(run("case", "list", "--json")[1])["cases"] == []
    assert run("case", "print", case, "--out", str(tmp_path / "case.pdf"))[0] == 0
    assert (tmp_path / "case.pdf").read_bytes().startswith(b"%PDF")
    code, said = run("register", "--json", "--out", str(tmp_path / "register.pdf"))
    assert (code, json.loads(said)["schema"]) == (0, "kaozheng/register/1")
    code, said = run("case", "show", "case-1999-0001")
    assert code == 2
    assert "no case" in said


def test_without_accounts_nobody_acts(centre):
    code, said = centre.run("case", "open", "--as", "li.na", "--reason", "x", "--window", centre.window)
    assert code == 2
    assert "account add" in said


def test_an_export_for_a_case_needs_its_open_viewing_and_is_on_the_register(centre, tmp_path):
    centre.with_accounts()
    run = centre.run
    body = json.loads(
        run("case", "open", "--as", "li.na", "--reason", "x", "--window", centre.window, "--json")[1]
    )
    case = body["id"]
    asked = [
        "export",
        "--room",
        ROOM,
        "--from",
        "2024-11-23 09:00:00",
        "--to",
        "2024-11-23 09:00:04",
        "--reason",
        "申诉",
    ]
    asked += ["--camera", "front-left", "--case", case]
    code, said = run(*asked, "--as", "zhao.min", "--out", str(tmp_path / "bag"))
    assert code == 1
    assert "head of the appraisal centre" in said
    assert not (tmp_path / "bag").exists()
    run("case", "request-access", case, "--why", "导出", "--as", "li.na")
    run("case", "approve", case, "--as", "wang.jun")
    run("case", "confirm", case, "--as", "zhao.min")
    run("case", "confirm", case, "--as", "qian.bo")
    assert run(*asked, "--as", "li.na", "--out", str(tmp_path / "bag"))[0] == 1
    code, said = run(*asked, "--as", "zhao.min", "--out", str(tmp_path / "bag"), "--json")
    assert code == 0
    export = json.loads(said)
    found = load_case(centre.station, case)
    assert [(one.export, one.record) for one in found.exports] == [(export["id"], export["leaf"])]
    (view,) = registered(centre.station).views
    assert (view.account, view.case_id) == ("zhao.min", case)
    assert run(*asked, "--out", str(tmp_path / "other"))[0] == 2


def test_a_case_is_opened_by_candidate_alone_where_a_roster_knows_the_seat(centre, tmp_path):
    centre.with_accounts()
    roster = tmp_path / "名单.csv"
    roster.write_text(f"准考证号,座位号,地点\nA001,17,{ROOM}\n", encoding="utf-8")
    assert centre.run("roster", "import", str(roster), "--yes")[0] == 0
    asked = ["case", "open", "--as", "li.na", "--reason", "x", "--json", "--candidate"]
    code, said = centre.run(*asked, "A001")
    body = json.loads(said)
    assert code == 0
    assert (body["window"], body["room"], body["seat"], body["candidate"]) == (
        centre.window,
        ROOM,
        "17",
        "A001",
    )
    assert centre.run(*asked, "B001")[0] == 2
