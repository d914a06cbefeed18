//! Windows of time: `window("Mon-Fri 22:00-05:00 Europe/Berlin except 2026-12-24..2027-01-02")`.
//!
//! Days, spans of the clock on the wall, one time zone of the IANA database, and dates that are left out. A day, also one
//! that is left out, names where a span begins: `Fri 22:00-05:00` goes on into Saturday. Both ends of a span are the first
//! moment at which the clock on the wall shows them or has passed them: one that begins in the hour that is skipped in
//! spring begins as that hour is over, and in autumn the hour that comes twice counts from its first time. The zones are
//! those that sprag brings along, so that a playbook says the same on every machine.

mod read;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::LazyLock;

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

/// Minutes of a day without a change of the clock.
const DAY: i32 = 24 * 60;

/// How many days without a moment outside make a window that never closes: every week is like the last, but for the clock.
const WITHOUT_END: usize = 400;

/// The time zones that sprag brings along.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// When something may be done. Times are Unix milliseconds.
#[derive(Debug, Clone)]
pub struct Window {
    zone: TimeZone,
    spans: Vec<Span>,
    /// First and last date of each stretch that is left out, in order, none touching another.
    except: Vec<(Date, Date)>,
}

/// Days of the week, and a part of each.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    /// From Monday.
    days: [bool; 7],
    /// Minutes from midnight.
    from: i32,
    /// Minutes from the same midnight; more than a day where it ends on the next.
    to: i32,
}

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowError {
    /// The bytes of the text that it is about.
    pub at: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

impl Window {
    /// Reads a window: days and spans (`Mon-Fri 22:00-05:00`, `daily 01:00-04:00,13:00-14:00`, several of them with commas),
    /// then the zone, then `except` with dates and `first..last`.
    ///
    /// # Errors
    /// What of the text is no part of a window, an empty span, or dates that leave nothing for ever.
    pub fn parse(text: &str) -> Result<Self, WindowError> {
        read::read(text)
    }

    /// Whether it is open at that moment.
    pub fn is_open(&self, at: i64) -> bool {
        self.around(at).any(|(from, to)| from <= at && at < to)
    }

    /// The first moment from `at` on at which it is not open: `at` itself where it is closed. `None` if it never closes.
    pub fn closes_after(&self, at: i64) -> Option<i64> {
        let mut end = at;
        for _ in 0..WITHOUT_END {
            match self.around(end).filter(|(from, to)| *from <= end && end < *to).map(|(_, to)| to).max() {
                Some(to) => end = to,
                None => return Some(end),
            }
        }
        None
    }

    /// The first moment from `at` on at which it is open: `at` itself where it is. `None` if it never opens any more.
    pub fn opens_after(&self, at: i64) -> Option<i64> {
        let mut date = self.date_at(at)?.yesterday().ok()?;
        loop {
            if let Some(last) = self.left_out(date) {
                date = last.tomorrow().ok()?;
                continue;
            }
            let open = self.on(date).into_iter().filter(|(_, to)| *to > at).map(|(from, _)| from.max(at)).min();
            if open.is_some() {
                return open;
            }
            date = date.tomorrow().ok()?;
        }
    }

    /// The spans that may cover a moment: those that begin on its date or the day before.
    fn around(&self, at: i64) -> impl Iterator<Item = (i64, i64)> {
        let today = self.date_at(at);
        let yesterday = today.and_then(|date| date.yesterday().ok());
        let dates = [yesterday, today].into_iter().flatten();
        dates.flat_map(|date| if self.left_out(date).is_some() { Vec::new() } else { self.on(date) })
    }

    /// The spans that begin on a date, left out or not.
    fn on(&self, date: Date) -> Vec<(i64, i64)> {
        let day = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or_default();
        let spans = self.spans.iter().filter(|span| span.days[day]);
        let ends = spans.filter_map(|span| Some((self.moment(date, span.from)?, self.moment(date, span.to)?)));
        ends.filter(|(from, to)| from < to).collect()
    }

    /// The last date of the stretch that leaves this one out.
    fn left_out(&self, date: Date) -> Option<Date> {
        self.except.iter().find(|(first, last)| *first <= date && date <= *last).map(|(_, last)| *last)
    }

    fn date_at(&self, at: i64) -> Option<Date> {
        let time = Timestamp::from_millisecond(at).ok()?;
        Some(self.zone.to_datetime(time).date())
    }

    /// The first moment at which the clock on the wall shows so many minutes after midnight, or has passed them.
    fn moment(&self, date: Date, minutes: i32) -> Option<i64> {
        let date = date.checked_add((minutes / DAY).days()).ok()?;
        let of_day = i8::try_from(minutes % DAY / 60).ok().zip(i8::try_from(minutes % 60).ok());
        let shown = of_day.map(|(hour, minute)| date.at(hour, minute, 0, 0))?;
        let moment = match self.zone.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(shown).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(shown).ok()?,
            AmbiguousOffset::Gap { after, .. } => {
                // Before the change, though no clock shows it; the change comes next.
                let before = after.to_timestamp(shown).ok()?;
                self.zone.following(before).next()?.timestamp()
            }
        };
        Some(moment.as_millisecond())
    }
}
