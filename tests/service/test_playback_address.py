"""The address of kept footage: what a template may say, and that it names exactly the range that is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaozheng_service.config.playback import PlaybackEntry
from kaozheng_service.config.sources import playback_source
from kaozheng_service.errors import ServiceError
from pydantic import ValidationError

HIK = "rtsp://nvr/Streaming/tracks/101?starttime={start:%Y%m%dT%H%M%SZ}&endtime={end:%Y%m%dT%H%M%SZ}"
START, END = datetime(2024, 11, 23, 1, 2, 3, tzinfo=UTC), datetime(2024, 11, 23, 1, 2, 13, tzinfo=UTC)

# As makers write them; each says the second.
FORMS = (
    "%Y%m%dT%H%M%SZ",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y_%m_%d_%H_%M_%S",
    "%y%m%d%H%M%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y%j%H%M%S",
    "%Y%m%dT%H%M%S.%f%z",
)
ZONES = ("UTC", "Asia/Shanghai", "Asia/Kathmandu", "America/Sao_Paulo")
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2068, 1, 1)).map(  # noqa: DTZ001 - the zone follows
    lambda at: at.replace(microsecond=0, tzinfo=UTC)
)


def entry(url: str = HIK, **other: object) -> PlaybackEntry:
    return PlaybackEntry.model_validate({"url": url, **other})


def test_a_recorder_that_speaks_utc():
    assert entry().address(START, END) == (
        "rtsp://nvr/Streaming/tracks/101?starttime=20241123T010203Z&endtime=20241123T010213Z"
    )


def test_a_recorder_that_speaks_local_time_and_one_that_counts_seconds():
    url = "rtsp://nvr/cam/playback?channel=1&starttime={start:%Y_%m_%d_%H_%M_%S}&endtime={end:%Y_%m_%d_%H_%M_%S}"
    assert "starttime=2024_11_23_09_02_03&" in entry(url, timezone="Asia/Shanghai").address(START, END)
    counted = entry("rtsp://nvr/c1/b{start:%s}/e{end:%s}/replay/", timezone="Asia/Shanghai").address(
        START, END
    )
    assert counted == f"rtsp://nvr/c1/b{int(START.timestamp())}/e{int(END.timestamp())}/replay/"


def test_a_clock_that_runs_ahead_is_asked_for_its_own_time():
    assert "starttime=20241123T010208Z" in entry(clock_offset_s=5).address(START, END)


def test_without_a_form_the_time_is_utc():
    assert (
        entry("rtsp://nvr/a?s={start}&e={end}")
        .address(START, END)
        .endswith("?s=20241123T010203Z&e=20241123T010213Z")
    )


@given(
    st.sampled_from(FORMS), st.sampled_from(ZONES), MOMENTS, st.integers(1, 86400), st.integers(-5000, 5000)
)
def test_any_range_is_written_so_that_the_device_reads_the_same_range(form, zone, start, length_s, offset_s):
    url = f"rtsp://nvr/a?s={{start:{form}}}&e={{end:{form}}}"
    playback, end = entry(url, timezone=zone, clock_offset_s=offset_s), start + timedelta(seconds=length_s)
    try:
        address = playback.address(start, end)
    except ServiceError as error:  # summer time begins or ends just then
        if zone != "America/Sao_Paulo" or "not one moment" not in str(error):
            raise
        return
    texts = [unquote(part.split("=", 1)[1]) for part in address.split("?")[1].split("&")]
    read = [datetime.strptime(text, form) for text in texts]  # noqa: DTZ007 - the zone follows
    read = [at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone)) for at in read]
    offset = timedelta(seconds=offset_s)
    assert [at.astimezone(UTC) - offset for at in read] == [start, end]


@given(
    MOMENTS,
    st.integers(0, 999_999),
    st.floats(0, 300, allow_nan=False),
    st.floats(1, 20_000),
    st.floats(-100, 100),
)
def test_what_is_asked_for_holds_the_gap_and_its_padding_and_little_more(
    start, micro, padding, length_s, offset
):
    begins = start + timedelta(microseconds=micro)
    ends = begins + timedelta(seconds=length_s)
    playback = entry(padding_s=padding, clock_offset_s=offset)
    first, last = playback.asked_range(begins, ends)
    pad, second = timedelta(seconds=padding), timedelta(seconds=1)
    assert begins - pad - second < first <= begins - pad
    assert ends + pad <= last < ends + pad + second
    # The address names whole seconds, so nothing of the range is lost in writing it down.
    assert (
        (first + timedelta(seconds=offset)).microsecond == (last + timedelta(seconds=offset)).microsecond == 0
    )


def test_a_moment_that_a_local_clock_shows_twice_is_not_guessed():
    twice = datetime(2024, 10, 27, 0, 30, tzinfo=UTC)  # 02:30 in Berlin, and an hour later again
    with pytest.raises(ServiceError, match="not one moment in Europe/Berlin"):
        entry(timezone="Europe/Berlin").address(twice, twice + timedelta(hours=3))
    url = "rtsp://nvr/a?s={start:%Y%m%dT%H%M%S%z}&e={end:%Y%m%dT%H%M%S%z}"
    said = entry(url, timezone="Europe/Berlin").address(twice, twice + timedelta(hours=1))
    assert unquote(said).endswith("?s=20241027T023000+0200&e=20241027T023000+0100")


@pytest.mark.parametrize(
    ("facts", "mend"),
    [
        ({"url": "rtsp://nvr/a?e={end}"}, "{start} is missing"),
        ({"url": "rtsp://nvr/a?s={start}"}, "{end} is missing"),
        ({"url": "rtsp://nvr/a?s={begin}&e={end}"}, "{begin} is unknown"),
        ({"url": "rtsp://nvr/a?s={start.year}&e={end}"}, "{start.year} is unknown"),
        ({"url": "rtsp://nvr/a?s={start!r}&e={end}"}, "{start!r} is unknown"),
        ({"url": "rtsp://nvr/a?s={}&e={end}"}, "{} is unknown"),
        ({"url": "rtsp://nvr/a?s={start&e={end}"}, "do not pair up|is not understood|unknown"),
        ({"url": "rtsp://nvr/a?s={start:%Y%m%d}&e={end}"}, "does not say the second"),
        ({"url": "rtsp://nvr/a?s={start:%H%M%S}&e={end}"}, "does not say the second"),
        ({"url": "rtsp://nvr/a?s={start:%c}&e={end}"}, "%c is not understood"),
        ({"url": "rtsp://nvr/a?s={start}&e={end}", "timezone": "Asia/Shanghai"}, "needs its form"),
        ({"url": HIK, "timezone": "Shanghai"}, "IANA time zone"),
        ({"url": HIK, "kind": "onvif"}, "FFmpeg cannot send"),
        ({"url": "rtsp://admin:geheim@nvr/a?s={start}&e={end}"}, "name a credential"),
        ({"url": "http://nvr/a?s={start}&e={end}"}, "not a stream address"),
        ({"url": "file:///a?s={start}&e={end}"}, "rtsp://"),
        ({"url": HIK, "certificate": "nvr.pem"}, "not encrypted"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_mend(facts, mend):
    with pytest.raises(ValidationError, match=mend) as caught:
        entry(**facts)
    assert "geheim" not in str(caught.value.errors()[0]["msg"])


def test_the_label_names_the_source_and_never_a_login():
    assert entry().label == "rtsp://nvr/Streaming/tracks/101"
    assert entry(name="校园录像机2").label == "校园录像机2"
    assert entry("rtsp://nvr:8554/user=admin&password=geheim&b={start}&e={end}").label.count("geheim") == 0


def test_the_login_of_the_device_is_its_own_and_masked(small_archive, monkeypatch):
    site = small_archive.station.site
    assert playback_source(site, entry(), START, END).username is None
    written = playback_source(site, entry("rtsp://nvr/a?s={start}&e={end}&password=geheim"), START, END)
    assert "geheim" in written.secret_url()
    assert "geheim" not in written.url
    assert "geheim" not in written.mask(f"cannot open {written.secret_url()}")
