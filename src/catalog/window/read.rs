//! From the text of a window to a [`Window`].

use std::ops::Range;

use jiff::civil::Date;

use super::{DAY, Span, Window, WindowError, ZONES};
use crate::diagnostic::did_you_mean;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const FORM: &str = "a window reads `Mon-Fri 22:00-05:00 Europe/Berlin` or `daily 01:00-04:00 UTC except 2026-12-24`";

/// A word of the text, and where it stands.
#[derive(Clone, Copy)]
struct Word<'t> {
    at: usize,
    text: &'t str,
}

impl Word<'_> {
    fn bytes(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    fn wrong(&self, what: impl Into<String>, help: impl Into<String>) -> WindowError {
        WindowError { at: self.bytes(), what: what.into(), help: help.into() }
    }
}

pub(super) fn read(text: &str) -> Result<Window, WindowError> {
    let words = words(text);
    let whole = Word { at: 0, text };
    let (spans, rest) = read_spans(&words, whole)?;
    let Some((zone, rest)) = rest.split_first().filter(|(word, _)| word.text != "except") else {
        return Err(whole.wrong("the window has no time zone", "name it behind the times: `Europe/Berlin`, or `UTC`"));
    };
    let except = match rest.split_first() {
        None => Vec::new(),
        Some((word, dates)) if word.text == "except" => read_dates(*word, dates)?,
        Some((word, _)) => return Err(word.wrong(format!("`{}` stands behind the time zone", word.text), FORM)),
    };
    let zone = ZONES.get(zone.text).map_err(|_| no_zone(zone))?;
    Ok(Window { zone, spans, except })
}

/// What blanks and commas part.
fn words(text: &str) -> Vec<Word<'_>> {
    let is_between = |c: char| c.is_whitespace() || c == ',';
    let base = text.as_ptr() as usize;
    let words = text.split(is_between).filter(|word| !word.is_empty());
    words.map(|word| Word { at: word.as_ptr() as usize - base, text: word }).collect()
}

/// Days and the spans that follow them, as often as there are; then the words that are left.
fn read_spans<'w, 't>(words: &'w [Word<'t>], whole: Word<'_>) -> Result<(Vec<Span>, &'w [Word<'t>]), WindowError> {
    let mut spans = Vec::new();
    let mut days: Option<[bool; 7]> = None;
    let mut is_used = false;
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        if let Some(named) = days_of(word.text) {
            let before = days.filter(|_| !is_used).unwrap_or_default();
            days = Some(std::array::from_fn(|day| before[day] || named[day]));
            is_used = false;
        } else if word.text.starts_with(|c: char| c.is_ascii_digit()) {
            let (from, to) = read_times(word)?;
            let Some(days) = days else {
                return Err(word.wrong("no day stands before the times", "name the days, or say `daily`"));
            };
            spans.push(Span { days, from, to });
            is_used = true;
        } else if is_used {
            return Ok((spans, rest));
        } else {
            return Err(no_day(word, days.is_some()));
        }
        rest = after;
    }
    match spans.is_empty() || !is_used {
        true => Err(whole.wrong("the window has no times", FORM)),
        false => Ok((spans, rest)),
    }
}

/// `daily`, `Mon`, `Mon-Fri`, also around the end of a week.
fn days_of(text: &str) -> Option<[bool; 7]> {
    if text == "daily" {
        return Some([true; 7]);
    }
    let day = |name: &str| DAYS.iter().position(|day| *day == name);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    let length = (last + 7 - first) % 7;
    Some(std::array::from_fn(|day| (day + 7 - first) % 7 <= length))
}

fn no_day(word: &Word<'_>, has_days: bool) -> WindowError {
    if has_days {
        return word.wrong(format!("`{}` is no time", word.text), "times read `22:00-05:00`");
    }
    let name = word.text.split('-').find(|name| !DAYS.contains(name)).unwrap_or(word.text);
    let near = DAYS.iter().find(|day| name.to_lowercase().starts_with(&day.to_lowercase()));
    let near = near.copied().or_else(|| did_you_mean(name, DAYS.into_iter().chain(["daily"])));
    let help = near.map(|near| format!("did you mean `{near}`?"));
    let all = format!("days are {}, or `daily`", DAYS.join(" "));
    word.wrong(format!("there is no day `{name}`"), help.unwrap_or(all))
}

/// `22:00-05:00`, in minutes of the day that it begins on.
fn read_times(word: &Word<'_>) -> Result<(i32, i32), WindowError> {
    let times = word.text.split_once('-').and_then(|(from, to)| Some((minutes_of(from)?, minutes_of(to)?)));
    let Some((from, to)) = times.filter(|(from, _)| *from < DAY) else {
        let help = "a time is from 00:00 to 23:59, or 24:00 as an end";
        return Err(word.wrong(format!("`{}` are no times", word.text), help));
    };
    if from == to {
        let help = "`00:00-24:00` is a whole day, `22:00-05:00` goes past midnight";
        return Err(word.wrong(format!("the span `{}` is empty", word.text), help));
    }
    Ok((from, if to < from { to + DAY } else { to }))
}

fn minutes_of(text: &str) -> Option<i32> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(());
    digits(hour).and(digits(minute))?;
    let (hour, minute) = (hour.parse::<i32>().ok()?, minute.parse::<i32>().ok()?);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}

fn no_zone(word: &Word<'_>) -> WindowError {
    let names: Vec<String> = ZONES.available().map(|name| name.to_string()).collect();
    let near = did_you_mean(word.text, names.iter().map(String::as_str));
    let help = near.map_or_else(
        || "zones are those of the IANA database: `Europe/Berlin`, `Asia/Shanghai`, `UTC`".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    word.wrong(format!("there is no time zone `{}`", word.text), help)
}

/// `2026-12-24` and `2026-12-24..2027-01-02`, put together where they touch.
fn read_dates(word: Word<'_>, dates: &[Word<'_>]) -> Result<Vec<(Date, Date)>, WindowError> {
    if dates.is_empty() {
        return Err(word.wrong("no date stands behind `except`", "dates read `2026-12-24` or `2026-12-24..2027-01-02`"));
    }
    let mut stretches = dates.iter().map(read_stretch).collect::<Result<Vec<_>, _>>()?;
    stretches.sort_unstable();
    let mut merged: Vec<(Date, Date)> = Vec::new();
    for (first, last) in stretches {
        match merged.last_mut() {
            Some((_, before)) if before.tomorrow().is_ok_and(|next| first <= next) => *before = last.max(*before),
            _ => merged.push((first, last)),
        }
    }
    match merged.last() {
        Some((first, Date::MAX)) => Err(word.wrong(
            format!("the window never opens from {first} on"),
            "leave out fewer dates, or take out the statement that asks for the window",
        )),
        _ => Ok(merged),
    }
}

fn read_stretch(word: &Word<'_>) -> Result<(Date, Date), WindowError> {
    let (first, last) = word.text.split_once("..").unwrap_or((word.text, word.text));
    let Some((first, last)) = date_of(first).zip(date_of(last)) else {
        let help = "dates read `2026-12-24` or `2026-12-24..2027-01-02`";
        return Err(word.wrong(format!("`{}` is no date", word.text), help));
    };
    if last < first {
        return Err(word.wrong(format!("`{}` ends before it begins", word.text), format!("write `{last}..{first}`")));
    }
    Ok((first, last))
}

/// A date as ISO 8601 writes it, and nothing else that would pass for one.
fn date_of(text: &str) -> Option<Date> {
    (text.len() == 10).then(|| text.parse().ok()).flatten()
}
