//! Windows in zones that change their clocks, and in one that does not.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::Window;

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).expect("a zone")
}

fn window(text: &str) -> Window {
    Window::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn ms(utc: &str) -> i64 {
    utc.parse::<Timestamp>().expect("a time").as_millisecond()
}

/// When the window opens and closes between two moments, in UTC: `+` and `-`.
fn changes(text: &str, from: &str, to: &str) -> Vec<String> {
    let (window, mut at, end) = (window(text), ms(from), ms(to));
    let mut told = Vec::new();
    let show = |sign: char, at: i64| {
        format!("{sign}{}", Timestamp::from_millisecond(at).expect("a time").strftime("%d %H:%M"))
    };
    while let Some(open) = window.opens_after(at).filter(|open| *open < end) {
        assert!(window.is_open(open) && (open == at || !window.is_open(open - 1)), "{text} {open}");
        told.push(show('+', open));
        let Some(close) = window.closes_after(open) else { break };
        assert!(!window.is_open(close) && window.is_open(close - 1), "{text} {close}");
        told.push(show('-', close));
        at = close;
    }
    told
}

fn hours(text: &str, from: &str) -> f64 {
    let window = window(text);
    let open = window.opens_after(ms(from)).expect("it opens");
    (window.closes_after(open).expect("it closes") - open) as f64 / 3_600_000.0
}

#[test]
fn a_day_names_where_a_span_begins() {
    // 2026-07-03 is a Friday; Berlin is two hours ahead.
    let text = "Mon-Fri 22:00-05:00 Europe/Berlin";
    let expected = ["+03 20:00", "-04 03:00", "+06 20:00", "-07 03:00"];
    assert_eq!(changes(text, "2026-07-03T12:00Z", "2026-07-07T12:00Z"), expected);
    let saturday_morning = ms("2026-07-04T02:59Z");
    assert!(window(text).is_open(saturday_morning), "it is Friday's");
    assert!(!window(text).is_open(ms("2026-07-06T02:00Z")), "Sunday has none that goes into Monday");
}

#[test]
fn spans_that_touch_are_one() {
    let text = "Fri 22:00-24:00, Sat 00:00-06:00, Sat 05:00-07:00 UTC";
    assert_eq!(changes(text, "2026-07-01T00:00Z", "2026-07-08T00:00Z"), ["+03 22:00", "-04 07:00"]);
    let text = "Sat,Mon 10:00-11:00,13:00-14:00 UTC";
    let expected =
        ["+04 10:00", "-04 11:00", "+04 13:00", "-04 14:00", "+06 10:00", "-06 11:00", "+06 13:00", "-06 14:00"];
    assert_eq!(changes(text, "2026-07-04T00:00Z", "2026-07-08T00:00Z"), expected);
    assert_eq!(changes("Sat-Mon 10:00-11:00 UTC", "2026-07-03T00:00Z", "2026-07-08T00:00Z").len(), 6);
}

#[test]
fn the_clock_goes_forward() {
    // Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC, and the day has 23 hours.
    let day = ("2026-03-28T23:00Z", "2026-03-29T21:00Z");
    let berlin = |spans: &str| changes(&format!("Sun {spans} Europe/Berlin"), day.0, day.1);
    assert_eq!(berlin("01:00-04:00"), ["+29 00:00", "-29 02:00"], "two hours");
    assert_eq!(berlin("02:30-04:00"), ["+29 01:00", "-29 02:00"], "it begins in the hour that is skipped");
    assert_eq!(berlin("01:00-02:30"), ["+29 00:00", "-29 01:00"], "it ends in it");
    assert_eq!(berlin("02:10-02:50"), [""; 0], "all of it is skipped");
    assert_eq!(hours("Sun 00:00-24:00 Europe/Berlin", day.0), 23.0);
    assert_eq!(hours("Sat 22:00-05:00 Europe/Berlin", "2026-03-28T12:00Z"), 6.0);
    // New York, 2026-03-08: at 07:00 UTC.
    assert_eq!(
        changes("Sun 02:15-03:30 America/New_York", "2026-03-08T05:00Z", "2026-03-09T03:00Z"),
        ["+08 07:00", "-08 07:30"]
    );
    assert_eq!(hours("daily 00:00-24:00 America/New_York except 2026-03-09", "2026-03-08T05:00Z"), 23.0);
}

#[test]
fn the_clock_goes_back() {
    // Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC, and the day has 25 hours.
    let day = ("2026-10-24T22:00Z", "2026-10-25T22:00Z");
    let berlin = |spans: &str| changes(&format!("Sun {spans} Europe/Berlin"), day.0, day.1);
    assert_eq!(berlin("01:00-04:00"), ["+24 23:00", "-25 03:00"], "four hours");
    assert_eq!(berlin("01:00-02:30"), ["+24 23:00", "-25 00:30"], "it closes as the clock first shows it");
    assert_eq!(berlin("02:30-04:00"), ["+25 00:30", "-25 03:00"], "it opens as the clock first shows it");
    assert_eq!(berlin("02:10-02:50"), ["+25 00:10", "-25 00:50"], "once, not twice");
    assert_eq!(hours("Sun 00:00-24:00 Europe/Berlin", day.0), 25.0);
    assert_eq!(hours("Sat 22:00-05:00 Europe/Berlin", "2026-10-24T12:00Z"), 8.0);
    // New York, 2026-11-01: 02:00 becomes 01:00 at 06:00 UTC.
    assert_eq!(
        changes("Sun 00:30-01:30 America/New_York", "2026-11-01T04:00Z", "2026-11-02T04:00Z"),
        ["+01 04:30", "-01 05:30"]
    );
}

#[test]
fn a_zone_without_changes_has_days_of_24_hours() {
    let text = "Mon-Fri 22:00-05:00 Asia/Shanghai";
    for day in ["2026-03-29T00:00Z", "2026-10-25T00:00Z", "2026-11-01T00:00Z", "2026-07-01T00:00Z"] {
        assert_eq!(hours(text, day), 7.0);
    }
    assert_eq!(changes(text, "2026-10-23T00:00Z", "2026-10-26T00:00Z"), ["+23 14:00", "-23 21:00"]);
}

#[test]
fn a_day_that_a_zone_never_had_has_no_window() {
    // Samoa went from Thursday 2011-12-29 to Saturday 2011-12-31.
    let text = "Thu-Sat 10:00-11:00 Pacific/Apia";
    assert_eq!(
        changes(text, "2011-12-29T00:00Z", "2012-01-01T00:00Z"),
        ["+29 20:00", "-29 21:00", "+30 20:00", "-30 21:00"]
    );
}

#[test]
fn dates_are_left_out_where_a_span_begins() {
    let text = "daily 22:00-05:00 UTC except 2026-12-24..2026-12-26, 2026-12-28";
    let expected = ["+23 22:00", "-24 05:00", "+27 22:00", "-28 05:00", "+29 22:00", "-30 05:00"];
    assert_eq!(changes(text, "2026-12-23T12:00Z", "2026-12-30T12:00Z"), expected);
    let far = window("daily 00:00-24:00 UTC except 2026-01-01..9998-12-31");
    assert_eq!(far.opens_after(ms("2026-01-01T00:00Z")), Some(ms("9999-01-01T00:00Z")));
}

#[test]
fn some_never_close_and_the_moment_itself_counts() {
    let always = window("daily 00:00-24:00 Europe/Berlin");
    assert_eq!(always.closes_after(ms("2026-03-29T00:59Z")), None);
    let night = window("daily 01:00-02:00 UTC");
    let (open, close) = (ms("2026-03-29T01:00Z"), ms("2026-03-29T02:00Z"));
    assert_eq!((night.opens_after(open), night.closes_after(open)), (Some(open), Some(close)));
    assert_eq!((night.closes_after(close), night.opens_after(close - 1)), (Some(close), Some(close - 1)));
}

/// Against the clock on the wall, minute by minute, through a year with both changes.
#[test]
fn it_is_open_when_the_clock_says_so() {
    for name in ["Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "UTC"] {
        let (window, zone) = (window(&format!("daily 00:40-04:40 {name}")), zone(name));
        let start = ms("2026-01-01T00:00Z");
        for minute in (0..366 * 1440).step_by(10) {
            let at = start + minute * 60_000;
            let shown = zone.to_datetime(Timestamp::from_millisecond(at).expect("a time"));
            let of_day = i32::from(shown.hour()) * 60 + i32::from(shown.minute());
            assert_eq!(window.is_open(at), (40..280).contains(&of_day), "{name} {shown}");
        }
    }
}

#[test]
fn what_is_no_window_says_what_and_where() {
    let told = |text: &str| match Window::parse(text) {
        Ok(_) => panic!("`{text}` is a window"),
        Err(error) => format!("{} [{}] {}", error.what, &text[error.at], error.help),
    };
    for (text, expected) in [
        ("", "the window has no times [] a window reads"),
        ("Mon-Fri Europe/Berlin", "`Europe/Berlin` is no time [Europe/Berlin] times read `22:00-05:00`"),
        ("22:00-05:00 UTC", "no day stands before the times [22:00-05:00] name the days, or say `daily`"),
        ("Mon 22:00-22:00 UTC", "the span `22:00-22:00` is empty [22:00-22:00] `00:00-24:00` is a whole day"),
        ("Mon 24:00-01:00 UTC", "`24:00-01:00` are no times [24:00-01:00] a time is from 00:00"),
        ("Mon 9:00-10:00 UTC", "`9:00-10:00` are no times [9:00-10:00]"),
        ("Mon 22:00-23:60 UTC", "`22:00-23:60` are no times"),
        ("Mon-Fry 22:00-23:00 UTC", "there is no day `Fry` [Mon-Fry] did you mean `Fri`?"),
        ("monday 22:00-23:00 UTC", "there is no day `monday` [monday] did you mean `Mon`?"),
        ("weekdays 22:00-23:00 UTC", "there is no day `weekdays` [weekdays] days are Mon Tue"),
        ("daily 22:00-23:00", "the window has no time zone [daily 22:00-23:00] name it behind the times"),
        (
            "daily 22:00-23:00 Europe/Berln",
            "there is no time zone `Europe/Berln` [Europe/Berln] did you mean `Europe/Berlin`?",
        ),
        ("daily 22:00-23:00 Middle_Earth", "there is no time zone `Middle_Earth` [Middle_Earth] zones are those"),
        ("daily 22:00-23:00 except 2026-12-24", "the window has no time zone"),
        ("daily 22:00-23:00 UTC but 2026-12-24", "`but` stands behind the time zone [but]"),
        ("daily 22:00-23:00 UTC except", "no date stands behind `except` [except] dates read"),
        ("daily 22:00-23:00 UTC except 2026-02-30", "`2026-02-30` is no date [2026-02-30]"),
        ("daily 22:00-23:00 UTC except 24.12.2026", "`24.12.2026` is no date"),
        (
            "daily 22:00-23:00 UTC except 2027-01-02..2026-12-24",
            "`2027-01-02..2026-12-24` ends before it begins [2027-01-02..2026-12-24] write `2026-12-24..2027-01-02`",
        ),
        ("daily 22:00-23:00 UTC except 2026-01-01..9999-12-31", "the window never opens from 2026-01-01 on [except]"),
    ] {
        assert!(told(text).starts_with(expected), "{text}\n{}", told(text));
    }
}
