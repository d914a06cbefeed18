//! Two clusters' accounts of one scenario, and in what they differ.

use super::play::Seen;
use super::scenario::Scenario;
use super::story::Course;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// By how much times may differ, in seconds, and of what is later by which share more.
const TOLERANCE: (f64, f64) = (1.5, 0.1);

/// What is wrong with a pair of accounts: nothing, or a text that shows both.
pub fn compare(scenario: &Scenario, real: &Seen, embedded: &Seen) -> Result<(), String> {
    let mut wrong = String::new();
    let differences = differences(real, embedded, TOLERANCE.0 + scenario.slack);
    let allowed: BTreeMap<&str, &str> = scenario.differs.iter().copied().collect();
    for (place, told) in &differences {
        if !allowed.contains_key(place.as_str()) {
            let _ = writeln!(wrong, "{place}\n{told}");
        }
    }
    for (place, why) in &allowed {
        if !differences.contains_key(*place) {
            let _ = writeln!(wrong, "{place}: does not differ any more, though listed ({why})");
        }
    }
    for (object, phrase) in &scenario.tells {
        for (who, seen) in [("the real cluster", real), ("the cluster in a box", embedded)] {
            if !has_told(seen, object, phrase) {
                let _ = writeln!(wrong, "{object}: {who} does not tell `{phrase}`");
            }
        }
    }
    if real.answers.is_empty() && real.story.courses.is_empty() {
        wrong.push_str("nothing was seen that could differ\n");
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn has_told(seen: &Seen, object: &str, phrase: &str) -> bool {
    let mut courses = seen.story.courses.iter().filter(|((known, _), _)| known == object);
    courses.any(|(_, course)| course.iter().any(|(_, told)| told == phrase))
}

/// What differs, by its place: `answer 3`, or the object and its field.
fn differences(real: &Seen, embedded: &Seen, tolerance: f64) -> BTreeMap<String, String> {
    let mut differ = BTreeMap::new();
    for (index, (one, other)) in real.answers.iter().zip(&embedded.answers).enumerate() {
        let same_times = one.times.iter().zip(&other.times).all(|(one, other)| is_near(*one, *other, tolerance));
        if one.is != other.is || one.times.len() != other.times.len() || !same_times {
            let told =
                format!("  of {}\n  real: {} {:?}\n  box:  {} {:?}", one.of, one.is, one.times, other.is, other.times);
            differ.insert(format!("answer {}", index + 1), told);
        }
    }
    let keys: BTreeSet<_> = real.story.courses.keys().chain(embedded.story.courses.keys()).collect();
    for key in keys {
        let none = Course::new();
        let one = real.story.courses.get(key).unwrap_or(&none);
        let other = embedded.story.courses.get(key).unwrap_or(&none);
        if !is_same(one, other, tolerance) {
            let told = format!("  real: {}\n  box:  {}", told(one), told(other));
            differ.insert(format!("{} {}", key.0, key.1), told);
        }
    }
    differ
}

fn is_same(one: &Course, other: &Course, tolerance: f64) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| one.1 == other.1 && is_near(one.0, other.0, tolerance))
}

fn is_near(one: f64, other: f64, tolerance: f64) -> bool {
    (one - other).abs() <= tolerance + TOLERANCE.1 * one.abs().max(other.abs())
}

fn told(course: &Course) -> String {
    let each: Vec<String> = course.iter().map(|(at, phrase)| format!("+{at:.1} {phrase}")).collect();
    if each.is_empty() { "nothing".to_owned() } else { each.join("; ") }
}

/// An account as text.
pub fn show(seen: &Seen) -> String {
    let mut text = String::new();
    for answer in &seen.answers {
        let _ = writeln!(text, "  {}: {} {:?}", answer.of, answer.is, answer.times);
    }
    for ((object, field), course) in &seen.story.courses {
        let _ = writeln!(text, "  {object} {field}: {}", told(course));
    }
    text
}
