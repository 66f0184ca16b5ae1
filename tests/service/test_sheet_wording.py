"""Verdicts in Chinese words: every number and name from the verdict, none from its English text."""

from __future__ import annotations

import pytest
from kaozheng_coverage.profile import Level, Part, Rule
from kaozheng_coverage.room import ZoneKind
from kaozheng_coverage.verdict import Cause, Mend, Outcome, PartVerdict, Sight, TargetVerdict
from kaozheng_service import wording
from kaozheng_service.recording.causes import Cause as GapCause
from kaozheng_vision.diagnose import Fault, diagnose
from kaozheng_vision.failures import Failure

RULE = Rule(Level.OBSERVE, 0.9)


def sight(camera: str = "back-left", **values: object) -> Sight:
    defaults: dict[str, object] = {
        "visible": 0.899,
        "visible_least": 0.5,
        "px_per_m": 48.9,
        "px_per_m_p5": 49.5,
        "px_per_m_median": 55.0,
        "outside": 0.4,
        "hidden_by": ("seat-07 monitor", "pillar-1"),
        "outcome": Outcome.FAIL,
        "cause": Cause.HIDDEN,
    }
    return Sight(camera, **{**defaults, **values})  # type: ignore[arg-type]


def sentence(cause: Cause, *sights: Sight, rule: Rule | None = RULE, part: Part = Part.HEAD) -> str:
    outcome = Outcome.UNDETERMINED if cause in (Cause.NOT_VERIFIED, Cause.NO_RULE) else Outcome.FAIL
    verdict = PartVerdict(part, rule, outcome, cause, "english", -0.1, -3.0, sights or (sight(),))
    return wording.cause_sentence(TargetVerdict("17", "seat", outcome, (verdict,), None), verdict)


def test_what_hides_is_named_in_the_order_in_which_it_hides() -> None:
    assert sentence(Cause.HIDDEN) == "头部被座位07显示器、立柱1遮挡，可见89%（要求90%；最佳机位back-left）"


def test_a_share_is_rounded_down_so_that_a_failure_never_reads_as_the_rule() -> None:
    assert "可见89%（要求90%" in sentence(Cause.HIDDEN, sight(visible=0.8999))


def test_too_few_pixels_names_number_and_level() -> None:
    assert (
        sentence(Cause.TOO_FEW_PIXELS) == "头部清晰度不足，48像素/米（要求62.5，观察级；最佳机位back-left）"
    )


def test_the_deciding_camera_is_the_kth_best() -> None:
    text = sentence(
        Cause.HIDDEN,
        sight("front", visible=1.0),
        sight("back", visible=0.2),
        rule=Rule(Level.OBSERVE, 0.9, 2),
    )
    assert "第2佳机位back" in text
    assert "可见20%" in text


def test_undetermined_says_whether_the_aim_or_the_live_picture_is_in_doubt() -> None:
    by_aim = sentence(Cause.NOT_VERIFIED, sight(visible=0.95, visible_least=0.5))
    assert by_aim == "头部标称可见95%，朝向偏差最不利时50%（要求90%；最佳机位back-left）"
    by_picture = sentence(Cause.NOT_VERIFIED, sight(visible=0.95, visible_least=0.93))
    assert "实时画面未经核实" in by_picture


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_a_sentence_of_its_own(cause: Cause) -> None:
    text = sentence(cause, rule=None if cause is Cause.NO_RULE else RULE)
    assert text
    assert "english" not in text


def test_a_room_without_cameras_still_gets_a_sentence() -> None:
    verdict = PartVerdict(Part.HEAD, RULE, Outcome.FAIL, Cause.TOO_FEW_CAMERAS, "", -1, -1, ())
    target = TargetVerdict("17", "seat", Outcome.FAIL, (verdict,), None)
    assert "没有可用的摄像机" in wording.cause_sentence(target, verdict)


@pytest.mark.parametrize(
    ("mend", "text"),
    [
        (
            Mend("turn", "back-left", "", True, pan_deg=-3.24, tilt_deg=1.4),
            "将back-left向左转3.2°、向上转1.4°（按标称值核算可达标）",
        ),
        (Mend("zoom", "front", "", False, hfov_deg=78.4), "将front的水平视角调为78°（未经核算，仅供参考）"),
        (
            Mend("add", "new", "", True, hfov_deg=90, position_m=(6, 0.25, 2.9), aim_m=(6, 5, 1.2)),
            "在距左墙6.0米、距后墙0.2米、高2.9米处增设一台摄像机，水平视角90°，"
            "对准距左墙6.0米、距后墙5.0米、高1.2米处（按标称值核算可达标）",
        ),
        (None, "未找到单项调整办法，须增设摄像机或移动遮挡物后重新验收"),
    ],
    ids=["turn", "zoom", "add", "none"],
)
def test_a_mend_carries_its_numbers_and_whether_it_was_proven(mend: Mend | None, text: str) -> None:
    assert wording.mend_sentence(mend) == text


@pytest.mark.parametrize(
    ("occluder", "name"),
    [
        ("seat-07 monitor", "座位07显示器"),
        ("seat-A12 person", "座位A12考生"),
        ("lectern", "讲台"),
        ("pillar-2", "立柱2"),
        ("air-conditioner", "“air-conditioner”"),
    ],
)
def test_occluders_have_names_and_unknown_ones_keep_theirs(occluder: str, name: str) -> None:
    assert wording.occluder_name(occluder) == name


def test_nothing_that_can_be_reported_lacks_a_word() -> None:
    for outcome in Outcome:
        assert wording.outcome_name(outcome)
    for kind in ZoneKind:
        assert wording.zone_name(kind)
    for part in Part:
        assert wording.part_name(part)
    for cause in Cause:
        assert wording.cause_name(cause)
    for failure in Failure:
        assert wording.failure_sentence(failure)
    for fault in Fault:
        assert wording.fault_name(fault)
    for gap in GapCause:
        assert wording.gap_cause_name(gap.value) != gap.value


def test_a_camera_without_a_picture_is_not_called_normal() -> None:
    assert wording.diagnosis_sentence(diagnose([])) == "无画面"
