"""What a check can find, in words, and how findings add up to an outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ALTERED, CANNOT_JUDGE, NOTE = "altered", "cannot_judge", "note"

# code: severity, then the sentence in Chinese and in English
MESSAGES = {
    "changed": (ALTERED, "内容被改动", "its content was changed"),
    "swapped": (ALTERED, "次序被调换，这里放的是 {other}", "out of order: what lies here is {other}"),
    "missing": (ALTERED, "文件缺失", "the file is missing"),
    "unexpected": (ALTERED, "多出的文件，不属于本次导出", "not part of the export"),
    "not_a_file": (ALTERED, "不是普通文件（链接或设备），未读取", "a link or device, not a file; not read"),
    "dropping": (NOTE, "电脑浏览文件夹时留下的文件，与导出无关", "left by a file browser, not part of the export"),
    "too_deep": (ALTERED, "文件夹嵌套过深，不属于任何导出，未读取", "nested too deeply for any export; not read"),
    "too_long": (CANNOT_JUDGE, "文本超过1 GB，未读取", "a text of more than 1 GB; not read"),
    "unreadable": (CANNOT_JUDGE, "无法读取：{why}", "cannot be read: {why}"),
    "manifest_line": (ALTERED, "第{line}行不是清单应有的写法", "line {line} is not a line of a manifest"),
    "unsafe_path": (ALTERED, "第{line}行的路径指向别处，拒绝读取", "line {line} points elsewhere; refused"),
    "bag_info": (ALTERED, "与签名的导出记录不符", "does not fit the signed record of the export"),
    "not_a_key": (ALTERED, "不是Ed25519公钥", "not an Ed25519 public key"),
    "not_a_checkpoint": (ALTERED, "不是检查点的写法", "not written as a checkpoint"),
    "signature": (ALTERED, "签名与公钥不符，检查点被改动或伪造", "the signature does not fit the key: forged"),
    "other_key": (ALTERED, "签名用的不是您给出的公钥", "signed by another key than the one you named"),
    "key_change": (
        ALTERED,
        "日志第{index}条：换钥没有原公钥的有效签名",
        "record {index}: the key before did not sign this change of key",
    ),
    "key_given_up": (ALTERED, "签名用的是已经停用的公钥", "signed by a key that was given up before"),
    "key_changed": (
        NOTE,
        "公钥已于{at}更换，由原公钥签名证明（日志第{index}条）：{reason}；新公钥：{key}",
        "the key was changed at {at}, proven by the key before (record {index}): {reason}",
    ),
    "anchor_files": (
        ALTERED,
        "日志第{index}条所记的外送检查点被抽走或改动",
        "the anchor of record {index} was taken out or changed",
    ),
    "anchor_fork": (
        ALTERED,
        "日志被改写：本次导出的日志不是以外送过的前{size}条开头",
        "the log was rewritten: it does not begin with the {size} entries that were anchored",
    ),
    "witnessed": (NOTE, "前{size}条由{name}于{at}见证签名", "the first {size} entries were cosigned by {name} at {at}"),
    "witness_unchecked": (
        NOTE,
        "见证方的签名未核对；用 --witness 给出其公钥：{key}",
        "the witness's signature was not checked; name its key with --witness",
    ),
    "not_witnessed": (
        CANNOT_JUDGE,
        "导出中没有您所给见证方的有效签名：{key}",
        "no cosignature of the witness that you named: cannot be judged",
    ),
    "stamp_unchecked": (
        NOTE,
        "{tsa}的时间戳（{at}）未验签；用 openssl ts -verify，或 kaozheng verify --tsa-ca",
        "the time stamp's signature was not checked; use openssl ts -verify, or kaozheng verify --tsa-ca",
    ),
    "stamped": (
        NOTE,
        "前{size}条由{tsa}于{at}加盖时间戳",
        "the first {size} entries were time-stamped by {tsa} at {at}",
    ),
    "stamp_bad": (
        CANNOT_JUDGE,
        "时间戳验签不通过：{why}",
        "the time stamp does not verify against that authority: {why}",
    ),
    "key_from_bag": (
        NOTE,
        "公钥取自本文件夹，请与从别处得知的公钥核对：{key}",
        "this key came with the export: compare it with the one known from elsewhere",
    ),
    "consistency": (
        ALTERED,
        "第{line}行不能证明检查点由较早的检查点延续而来",
        "line {line} does not prove that the checkpoint follows from an earlier one",
    ),
    "printed_holds": (
        NOTE,
        "与纸上的检查点一致：日志由其前{size}条延续而来，公钥即印制时的公钥",
        "agrees with the printed checkpoint: the log goes on from those {size} entries, the key is the same",
    ),
    "printed_changed": (
        ALTERED,
        "日志前{size}条与纸上的检查点不同：印制之后日志被改写",
        "the first {size} entries are not those that were printed: the log was rewritten after the printing",
    ),
    "printed_signature": (
        ALTERED,
        "纸上的检查点（{size}条）不是本次导出的公钥签名的：抄写有误，或有一方是伪造的",
        "the printed checkpoint of {size} entries is not signed by this export's key: mistyped, or one is forged",
    ),
    "printed_elsewhere": (
        CANNOT_JUDGE,
        "纸上的检查点属于另一日志：{log}",
        "the printed checkpoint is of another log, {log}, and says nothing of this one",
    ),
    "printed_unproven": (
        CANNOT_JUDGE,
        "没有从纸上的检查点（{size}条）到本次导出（{head}条）的证明",
        "no proof from the printed {size} entries to the {head} here; have it held against the site's log",
    ),
    "printed_later": (
        CANNOT_JUDGE,
        "纸上的检查点（{size}条）晚于本次导出（{head}条）：导出在先，或日志被截短",
        "the printed {size} entries are more than the {head} here: exported before, or the log was cut",
    ),
    "record_line": (ALTERED, "第{line}行不是一条完整的记录", "line {line} is not a whole record"),
    "record_proof": (
        ALTERED,
        "第{line}行的记录不在签名的日志里，被改动或伪造",
        "line {line} is not in the signed log: changed or forged",
    ),
    "record_order": (ALTERED, "第{line}行的记录次序被调换", "line {line} is out of order"),
    "record_missing": (ALTERED, "日志第{index}条记录被抽走", "record {index} of the log was taken out"),
    "record_added": (ALTERED, "日志第{index}条记录不属于本次导出", "record {index} of the log was put in"),
    "export_record": (ALTERED, "没有（或不止一条）本次导出的签名记录", "not exactly one signed record of the export"),
    "not_as_recorded": (ALTERED, "内容与录制时的签名记录不符", "not as it was signed when recorded"),
    "left_out": (ALTERED, "在所求时段内已录制，却不在导出中", "recorded within the range, yet left out"),
    "part_line": (
        ALTERED,
        "第{line}行不是截取片段的分块哈希",
        "line {line} is not the hashes of a segment of which a part is here",
    ),
    "part_rootless": (
        CANNOT_JUDGE,
        "片段的签名记录中没有分块哈希根，截取的部分无法证明",
        "its record has no root over its fragments: a part of it cannot be proven",
    ),
    "part_leaves": (
        ALTERED,
        "分块哈希缺失，或与片段签名记录中的分块哈希根不符",
        "the hashes of its fragments are missing, or do not lead to the root in its signed record",
    ),
    "part_range": (
        ALTERED,
        "片段只有{count}块，文件名却称第{first}至{last}块",
        "its name says fragments {first} to {last} of a segment that has {count}",
    ),
    "part_piece": (
        ALTERED,
        "第{piece}块与签名时不符：被改动、抽走、调换或添加（0为文件头）",
        "piece {piece} is not as signed: changed, taken out, exchanged or added (0 is the header)",
    ),
    "part_short": (
        ALTERED,
        "截取的部分（{start} 至 {end}）短于所求时段",
        "cut to {start} – {end}, shorter than the range",
    ),
    "part_times": (
        CANNOT_JUDGE,
        "截取部分的时间无法从录像数据读出，是否截短无法判断",
        "its footage does not tell its times: whether it was cut too short cannot be judged",
    ),
    "chain": (
        ALTERED,
        "{take}：片段{first}与{second}之间的记录被抽走或调换",
        "records between segments {first} and {second} are missing or exchanged",
    ),
    "head": (ALTERED, "{take}：片段{first}之前的记录被抽走", "records before segment {first} were taken out"),
    "cut_tail": (ALTERED, "{take}：片段{last}之后的尾部被截去", "the tail after segment {last} was cut off"),
    "take_order": (ALTERED, "{take}：片段{second}在日志中的次序不对", "segment {second} is out of order in the log"),
    "take_open": (
        CANNOT_JUDGE,
        "{take}：此时录制尚未结束，尾部是否完整无法判断",
        "not yet closed: whether its tail is whole cannot be judged",
    ),
    "counts": (
        ALTERED,
        "{window} {camera}：签名记录为{expected}个{what}，这里有{found}个",
        "{expected} {what} were signed, {found} are here",
    ),
    "no_window": (
        CANNOT_JUDGE,
        "{window}：没有应录时段的记录，是否完整无法判断",
        "no record of what was expected: completeness cannot be judged",
    ),
    "nothing_expected": (
        CANNOT_JUDGE,
        "所求时段内没有任何应录时段的记录，是否完整无法判断",
        "no record of anything expected in the range: completeness cannot be judged",
    ),
    "hole": (
        CANNOT_JUDGE,
        "{camera} {start} 至 {end}：既无录像，也无签名的原因说明",
        "neither recorded nor explained",
    ),
    "deleted": (
        NOTE,
        "已按签名的记录删除（{at}）：{reason}",
        "deleted, by a signed record of {at}: {reason}",
    ),
    "no_source": (ALTERED, "{take}：补录的来源记录被抽走", "the record of where it came from was taken out"),
    "healing": (
        ALTERED,
        "{take}：日志第{index}条的补录与其缺口或录像不符",
        "record {index} does not fit the gap that it heals, or the footage",
    ),
    "number_hole": (
        NOTE,
        "{take}：片段{first}之后跳号（其后的文件没有完整画面；链条未断）",
        "a number is skipped after segment {first}: a file without a whole picture; the chain is whole",
    ),
    "clock_back": (NOTE, "{take}：片段{second}之前时钟被回拨", "the clock was set back before segment {second}"),
    "late_window": (NOTE, "{window}：开始之后才登记为应录时段", "announced only after it had begun"),
    "cancelled": (
        NOTE,
        "{window}：开始之前已取消（{at}）：{reason}",
        "cancelled before it began, at {at}: {reason}",
    ),
    "cancelled_late": (
        NOTE,
        "{window}：开始之后才取消（{at}），缺失的部分仍须说明：{reason}",
        "cancelled after it had begun, at {at}, which excuses nothing that is missing: {reason}",
    ),
    "cancelled_backdated": (
        CANNOT_JUDGE,
        "{window}：取消记录的时间（{at}）早于日志中排在它之前的记录，不予采信",
        "cancelled at {at}, it says, yet later records stand before it in the log: not believed",
    ),
    "log_root": (ALTERED, "日志内容与签名的检查点不符", "its entries do not lead to the signed head"),
    "fragments_root": (
        ALTERED,
        "分块与签名记录中的分块哈希根不符",
        "its fragments do not lead to the root in its signed record",
    ),
    "row_missing": (ALTERED, "日志第{index}条有记录，数据库中没有", "record {index} has no row in the database"),
    "row_differs": (ALTERED, "数据库与日志第{index}条记录不符", "the database differs from record {index}"),
    "row_unsigned": (CANNOT_JUDGE, "数据库中有，日志中还没有签名记录", "in the database, not yet in the signed log"),
    "row_forged": (ALTERED, "数据库称其为日志第{index}条，日志中并非如此", "the log's record {index} is another"),
    "repaired": (NOTE, "内容损坏，已用另一份修复", "was damaged, and repaired from the other copy"),
    "unknown_file": (NOTE, "归档中的文件，数据库没有记载", "in the archive, unknown to the database"),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """``path`` is the file in the bag or archive that it is about, "" if none."""

    code: str
    severity: str
    path: str
    chinese: str
    english: str

    @property
    def message(self) -> str:
        """One line: the file, then Chinese, then English."""
        words = f"{self.chinese} / {self.english}"
        return on_one_line(f"{self.path}: {words}" if self.path else words)


@dataclass(frozen=True)
class Report:
    """``outcome`` is intact, altered or cannot_judge, the worst of the findings; the worst finding comes first.

    ``claim`` is the signed record of the export and ``gaps`` those of what was not recorded within it, as JSON;
    ``healed`` are the parts of gaps for which footage came afterwards, and from where. ``segments`` were recorded.
    ``parts`` are files that hold the disputed part of a segment only, recorded or backfilled.
    """

    outcome: str
    findings: tuple[Finding, ...]
    claim: dict[str, Any] = field(default_factory=dict)
    gaps: tuple[dict[str, Any], ...] = ()
    healed: tuple[dict[str, Any], ...] = ()
    files: int = 0
    bytes: int = 0
    segments: int = 0
    parts: int = 0
    backfilled: int = 0
    records: int = 0
    log: str = ""
    log_size: int = 0
    key: str = ""


def on_one_line(text: str) -> str:
    """A hostile bag must not write lines, colours or a verdict of its own: what does not print is spelt out."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class BadInputError(Exception):
    """What was asked cannot be done; the message says why and what to do next."""


class Findings:
    """Collects findings. A footage file named once as altered is not named again for what follows from it."""

    def __init__(self) -> None:
        self._all: dict[Finding, None] = {}
        self._named: set[str] = set()

    def add(self, code: str, path: str = "", **facts: object) -> None:
        """``code`` is one of MESSAGES; ``facts`` fill its sentence."""
        severity, chinese, english = MESSAGES[code]
        finding = Finding(code, severity, path, chinese.format(**facts), english.format(**facts))
        once = path.startswith(("data/segments/", "data/backfilled/", "data/viewing/")) and severity != NOTE
        if finding in self._all or (once and path in self._named):
            return
        if once:
            self._named.add(path)
        self._all[finding] = None

    def drop(self, code: str, path: str) -> None:
        """Take back what a later check settled."""
        self._all = {one: None for one in self._all if (one.code, one.path) != (code, path)}

    def outcome(self) -> str:
        severities = {finding.severity for finding in self._all}
        if ALTERED in severities:
            return ALTERED
        return CANNOT_JUDGE if CANNOT_JUDGE in severities else "intact"

    def ranked(self) -> tuple[Finding, ...]:
        """The worst first, else as they were found."""
        rank = (ALTERED, CANNOT_JUDGE, NOTE).index
        return tuple(sorted(self._all, key=lambda finding: rank(finding.severity)))
