"""What a supervisor checks by eye and hand the day before (考前巡场), beside what is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the manual checklist: where, and what must be so."""

    place: str
    text: str


CHECKLIST: tuple[Check, ...] = (
    Check("楼外", "横幅、考点平面图、考场指引标识已张贴"),
    Check("楼外", "警戒线已设置，无关人员不能进入考试区域"),
    Check("候考区", "候考区已设置，有监控覆盖，手机等物品存放处就绪"),
    Check("门口", "考场门贴（考场号、场次、时间、座位安排）与考场安排表一致"),
    Check("考场内", "考场规则、考生须知、违纪处理规定已张贴"),
    Check("考场内", "桌贴、桌签（座位号）齐全，与平面图座位号一致，朝向摄像机"),
    Check("考场内", "座位间距、数量与考场安排表一致，无多余物品"),
    Check("考场内", "时钟准确，与摄像机画面时间相差不超过1秒"),
    Check("考场内", "现场试音，录像回放声音与画面同步"),
    Check("考场内", "启封区、密封区位置已标示，启封动作面向摄像机和考生"),
    Check("考场内", "摄像机固定牢靠、镜头清洁，验收后朝向未被改动"),
    Check("设备", "考试用机、网络、备用机和供电已试运行"),
    Check("保密室", "保密柜、钥匙、监控正常，试卷交接登记表就绪"),
)
