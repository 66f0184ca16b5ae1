"""A seat and a moment looked up among millions of segment rows, beside a bare primary-key query of the same run.

``python -m benchmarks.lookup --segments 10000000``. What a room's cameras see is geometry, judged once a process; it is
judged before the clock starts, as in a service that runs.
"""

from __future__ import annotations

import argparse
import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from kaozheng_service.config.site import load_site
from kaozheng_service.database import Segment
from kaozheng_service.disputes.find import find
from kaozheng_service.disputes.meeting import meeting
from kaozheng_service.station import DATABASE, Station, open_station
from sqlalchemy import select

SITE = Path(__file__).resolve().parents[1] / "configs" / "demo" / "site.yaml"
REPORT = Path("bench-out/lookup.md")
SEGMENT_S = 30
# A session of the plan with pre- and post-roll: 4.5 h.
PER_SESSION = 540
LOOKUPS, WHOLE = 2000, 200
TARGET = 5.0
# Processor time of the asking thread and time by the clock, in ms.
Times = tuple[float, float]
CPU, WALL = 0, 1
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
EVERY = timedelta(hours=12)


def lookup_report(segments: int) -> list[str]:
    """Make so many rows, ask, and tell; lines of Markdown."""
    with tempfile.TemporaryDirectory(prefix="lookup-", dir=Path.cwd()) as folder:
        body = yaml.safe_load(SITE.read_text(encoding="utf-8"))
        body.pop("timetable", None)
        path = Path(folder) / "site.yaml"
        path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
        station = open_station(load_site(path))
        begun = time.perf_counter()
        sessions = _fill(station, segments)
        made = f"rows and indexes made in {time.perf_counter() - begun:.0f} s, "
        made += f"{(station.state / DATABASE).stat().st_size / 1e9:.2f} GB"
        return [*_measure(station, sessions), made]


def write_report(segments: int = 10_000_000) -> None:
    """The report, to its file and the screen."""
    lines = lookup_report(segments)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def _fill(station: Station, segments: int) -> int:
    """All rooms record two sessions a day, so that two rows of a camera lie far apart; how many sessions there are.

    The database makes the rows itself, and its indexes afterwards: a minute or two for ten million.
    """
    rooms = [(room.id, [one.id for one in room.cameras]) for room in station.site.rooms]
    sessions = max(1, round(segments / (PER_SESSION * sum(len(cameras) for _, cameras in rooms))))
    with sqlite3.connect(station.state / DATABASE) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type='index' AND tbl_name='segments' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f'DROP INDEX "{name}"')
        for number in range(sessions):
            starts = BEGIN + number * EVERY
            for room, cameras in rooms:
                _session(connection, room, cameras, starts)
            connection.commit()
        for _, sql in indexes:
            connection.execute(sql)
    return sessions


def _session(connection: sqlite3.Connection, room: str, cameras: list[str], starts: datetime) -> None:
    window, span = f"{starts:%Y%m%d-%H%M%S}-{room}-theory", (_text(starts), _text(starts + EVERY / 2))
    connection.execute(
        "INSERT INTO windows (id, room_id, kind, title, camera_ids, starts_at, ends_at, leaf, closed_leaf) "
        "VALUES (?, ?, 'theory', 'bench', ?, ?, ?, 0, 0)",
        (window, room, " ".join(cameras), *span),
    )
    for camera in cameras:
        take = f"{window}/{camera}/take-0001"
        connection.execute(
            "INSERT INTO takes (id, window_id, room_id, camera_id, number, folder, opened_at, closed_at, end_cause, "
            "end_detail, leaf, closed_leaf) VALUES (?, ?, ?, ?, 1, '', ?, ?, 'window_ended', '', 0, 0)",
            (take, window, room, camera, *span),
        )
        connection.execute(
            """
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :count - 1)
            INSERT INTO segments (take_id, room_id, camera_id, number, path, bytes, sha256, starts_at, ends_at,
                                  frames, codec, width, height, leaf)
            SELECT :take, :room, :camera, i + 1, :take || '/' || i, 15000000, hex(randomblob(32)),
                   strftime('%Y-%m-%d %H:%M:%S.000000', :starts, (i * :length) || ' seconds'),
                   strftime('%Y-%m-%d %H:%M:%S.000000', :starts, ((i + 1) * :length) || ' seconds'),
                   750, 'h264', 1920, 1080, 0
            FROM n
            """,
            {
                "count": PER_SESSION,
                "take": take,
                "room": room,
                "camera": camera,
                "starts": span[0],
                "length": SEGMENT_S,
            },
        )


def _measure(station: Station, sessions: int) -> list[str]:
    chance = random.Random(7)  # noqa: S311 - the same questions every time
    room = next(one for one in station.site.rooms if one.seats is not None)
    seat = "17"

    def moment() -> datetime:
        within = chance.uniform(60, PER_SESSION * SEGMENT_S - 60)
        return BEGIN + chance.randrange(sessions) * EVERY + timedelta(seconds=within)

    best = find(station, room.id, seat, moment()).cameras[0].camera_id
    with station.sessions() as session:
        connection = session.connection().connection.driver_connection
        assert connection is not None  # noqa: S101 - a session that is open has one
        (last,) = connection.execute("SELECT max(id) FROM segments").fetchone()
        asked = select(Segment.path).where(
            meeting(room.id, best, BEGIN, BEGIN + timedelta(milliseconds=1)),
        )
        compiled = asked.compile(station.sessions.kw["bind"])
        sql, order = str(compiled), list(compiled.positiontup or ())
        keys, found = [], []
        before = _memory_mb()
        for _ in range(LOOKUPS):
            number, at = chance.randint(1, last), moment()
            keys.append(
                _ms(
                    lambda n=number: connection.execute(
                        "SELECT path FROM segments WHERE id = ?", (n,)
                    ).fetchall()
                )
            )  # type: ignore[misc]
            question = meeting(room.id, best, at, at + timedelta(milliseconds=1))
            facts = select(Segment.path).where(question).compile(station.sessions.kw["bind"]).params
            values = [_plain(facts[name]) for name in order]
            found.append(_ms(lambda v=values: _one(connection.execute(sql, v).fetchall())))  # type: ignore[misc]
    whole = [_ms(lambda: find(station, room.id, seat, moment())) for _ in range(WHOLE)]
    grown = _memory_mb() - before
    ratio, wall = (_part(found, 0.99, one) / _part(keys, 0.99, one) for one in (CPU, WALL))
    rows = (
        (f"row by primary key, {LOOKUPS} times", keys),
        (f"file of a camera and moment, {LOOKUPS} times, in turn with these", found),
        (f"whole answer of a seat: every camera's files, gaps, timeline, {WHOLE} times", whole),
    )
    return [
        f"# Looking up a seat and a moment among {last:,} segments",
        "",
        "| ms | p50 | p99 | p50 by the clock | p99 by the clock |",
        "|---|---|---|---|---|",
        *(f"| {what} | {_columns(times)} |" for what, times in rows),
        "",
        "The first two columns are processor time, which does not count who else uses the machine.",
        f"p99 of the look-up is {ratio:.1f} times that of the primary key ({wall:.1f} by the clock); target at most "
        f"{TARGET:g}: {'held' if ratio <= TARGET else 'MISSED'}. Memory grew by {grown:.0f} MB over all of them.",
    ]


def _one(rows: list[tuple[str]]) -> None:
    assert rows, "a moment that was recorded was not found"  # noqa: S101 - a fast wrong answer is none


def _plain(value: object) -> object:
    return _text(value) if isinstance(value, datetime) else value


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


def _ms(run: Callable[[], object]) -> Times:
    begun, used = time.perf_counter(), time.thread_time()
    run()
    return (time.thread_time() - used) * 1000, (time.perf_counter() - begun) * 1000


def _part(times: list[Times], share: float, which: int) -> float:
    return sorted(one[which] for one in times)[min(int(len(times) * share), len(times) - 1)]


def _columns(times: list[Times]) -> str:
    return " | ".join(f"{_part(times, share, one):.3f}" for one in (CPU, WALL) for share in (0.5, 0.99))


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """0 when it ran, whatever it found."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--segments", type=int, default=10_000_000)
    write_report(arguments.parse_args().segments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
