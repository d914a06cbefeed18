//! The comparison itself: that it finds what differs, and only that.

use super::compare::compare;
use super::play::{Answer, Seen};
use super::scenario::Scenario;
use super::words::without_others;
use crate::expect::{Outcome, ensure};
use libtest_mimic::Trial;

/// The trials of this file, which need no cluster.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("differential::a_difference_is_found", finds),
        Trial::test("differential::what_is_listed_and_does_not_differ_is_found", finds_what_is_gone),
        Trial::test("differential::other_nodes_are_left_out", leaves_others_out),
    ]
}

/// An account with one answer, and one field of one pod.
fn seen(answer: &str, field: &[(f64, &str)]) -> Seen {
    let mut seen = Seen::default();
    seen.answers.push(Answer { of: "GET x".into(), is: answer.into(), times: Vec::new() });
    let course = field.iter().map(|(at, phrase)| (*at, (*phrase).to_owned())).collect();
    seen.story.courses.insert(("pods a".into(), "phase".into()), course);
    seen
}

fn finds() -> Outcome {
    let scenario = Scenario::new("t00");
    let real = seen("200", &[(1.0, "Running"), (9.0, "Succeeded")]);
    compare(&scenario, &real, &seen("200", &[(2.0, "Running"), (11.0, "Succeeded")]))?;
    for (other, place) in [
        (seen("201", &[(1.0, "Running"), (9.0, "Succeeded")]), "answer 1"),
        (seen("200", &[(1.0, "Running"), (12.0, "Succeeded")]), "pods a phase"),
        (seen("200", &[(1.0, "Running"), (9.0, "Failed")]), "pods a phase"),
        (seen("200", &[(1.0, "Running")]), "pods a phase"),
        (seen("200", &[]), "pods a phase"),
    ] {
        let wrong = compare(&scenario, &real, &other).err().unwrap_or_default();
        ensure(wrong.starts_with(place), format!("`{place}` differs: {wrong}"))?;
        let listed = scenario.clone().differs(place, "known");
        compare(&listed, &real, &other)?;
    }
    let wrong = compare(&scenario.tells("pods a", "Failed"), &real, &real).err().unwrap_or_default();
    ensure(wrong.contains("does not tell `Failed`"), wrong)
}

fn finds_what_is_gone() -> Outcome {
    let scenario = Scenario::new("t00").differs("pods a phase", "known");
    let same = seen("200", &[(1.0, "Running")]);
    let wrong = compare(&scenario, &same, &same).err().unwrap_or_default();
    ensure(wrong == "pods a phase: does not differ any more, though listed (known)\n", wrong)
}

fn leaves_others_out() -> Outcome {
    let real = "PodScheduled=False Unschedulable: 0/9 nodes are available: 2 node(s) were unschedulable, 7 node(s) didn't \
                satisfy plugin(s) [NodeAffinity]. preemption: 0/9 nodes are available: 9 Preemption is not helpful for \
                scheduling.";
    let own = "PodScheduled=False Unschedulable: 0/2 nodes are available: 2 node(s) were unschedulable. preemption: 0/2 \
               nodes are available: 2 Preemption is not helpful for scheduling.";
    ensure(without_others(real) == own, without_others(real))?;
    ensure(without_others(own) == own, without_others(own))?;
    let mixed =
        "0/5 nodes are available: 2 a, 3 b. preemption: 0/5 nodes are available: 2 No victims, 3 node(s) didn't.";
    ensure(without_others(mixed) == mixed, without_others(mixed))?;
    let sorted = "0/7 nodes are available: 1 a, 2 b, 4 node(s) didn't satisfy plugin(s) [NodeAffinity]. preemption: 0/7 nodes \
                  are available: 2 No victims, 5 Preemption is not helpful for scheduling.";
    let own = "0/3 nodes are available: 1 a, 2 b. preemption: 0/3 nodes are available: 1 Preemption is not helpful for \
               scheduling, 2 No victims.";
    ensure(without_others(sorted) == own, without_others(sorted))?;
    ensure(without_others("Ready") == "Ready", "other texts stay")
}
