//! How long a plan mostly takes, as a person would say it.

use crate::plan::estimate::Estimate;

const MINUTE: i64 = 60_000;

/// `about 3 h 10 min of work and 24 h of waiting`
pub(super) fn words(estimate: Estimate) -> String {
    let least = if estimate.or_more { "at least " } else { "about " };
    match (estimate.work, estimate.waiting) {
        (work, 0) => format!("{least}{} of work", rounded(work)),
        (0, waiting) => format!("{least}{} of waiting", rounded(waiting)),
        (work, waiting) => format!("{least}{} of work and {} of waiting", rounded(work), rounded(waiting)),
    }
}

/// As exact as a guess can be: seconds up to two minutes, minutes up to three hours, then in steps of ten.
fn rounded(ms: i64) -> String {
    let minutes = (ms + MINUTE / 2) / MINUTE;
    match minutes {
        _ if ms < 2 * MINUTE => format!("{} s", (ms + 500) / 1000),
        0..60 => format!("{minutes} min"),
        60..180 => hours(minutes),
        _ => hours((minutes + 5) / 10 * 10),
    }
}

fn hours(minutes: i64) -> String {
    match minutes % 60 {
        0 => format!("{} h", minutes / 60),
        rest => format!("{} h {rest} min", minutes / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_told_as_one() {
        let told = |work, waiting, or_more| words(Estimate { work, waiting, or_more });
        assert_eq!(told(11_400_000, 86_400_000, false), "about 3 h 10 min of work and 24 h of waiting");
        assert_eq!(told(95_000, 0, false), "about 95 s of work");
        assert_eq!(told(0, 5_400_000, true), "at least 1 h 30 min of waiting");
        assert_eq!(told(11_640_000, 0, false), "about 3 h 10 min of work");
        assert_eq!(told(1_000_000, 120_000, false), "about 17 min of work and 2 min of waiting");
    }
}
