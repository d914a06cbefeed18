//! The state as a person would tell it: a graph in a few letters, what happens, what can begin next.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::types::Type;
use crate::catalog::value::Value;
use crate::plan::graph::{
    Action, Block, ClusterInfo, Code, Graph, Group, Node, NodeKind, OnFailure, Place, Rollout, SCHEMA, Size,
};

use super::event::{Decision, Element, Event, Failure, Outcome};
use super::next::{Ready, Status};
use super::people::{Login, Message, Person, Word};
use super::state::{HOLD_GAP, RunState, StepStatus};

fn code(text: &str) -> Code {
    Code { text: text.to_owned(), code: String::new(), ty: Type::Bool }
}

fn node(id: &str, kind: NodeKind) -> Node {
    Node { id: id.to_owned(), text: id.to_owned(), place: Place::default(), kind }
}

fn step(id: &str) -> Node {
    let action = Action {
        name: "log".to_owned(),
        args: Vec::new(),
        record: None,
        retry: None,
        when: None,
        done_when: None,
        takes: None,
        undo: None,
    };
    node(id, NodeKind::Action(Box::new(action)))
}

fn block(nodes: Vec<Node>) -> Block {
    Block { on_failure: None, nodes }
}

fn tolerant(nodes: Vec<Node>) -> Block {
    Block { on_failure: Some(OnFailure::Continue), nodes }
}

fn group(id: &str, body: Block, finally: Option<Block>) -> Node {
    node(id, NodeKind::Group(Box::new(Group { task: None, when: None, body, finally, undo: None })))
}

fn parallel(id: &str, nodes: Vec<Node>) -> Node {
    node(id, NodeKind::Parallel { concurrency: None, body: block(nodes) })
}

fn rollout(id: &str, body: Vec<Node>, between: Option<Block>, finally: Option<Block>) -> Node {
    let rollout = Rollout {
        element: "x".to_owned(),
        slot: "x".to_owned(),
        list: code("list"),
        planned: None,
        batches: Vec::new(),
        one: None,
        order: None,
        concurrency: Size::Count(1),
        max_failures: Size::Count(0),
        defer: None,
        when: None,
        pins: Vec::new(),
        body: block(body),
        between,
        finally,
    };
    node(id, NodeKind::Rollout(Box::new(rollout)))
}

/// A run under way, with a log of what was applied.
struct Told {
    state: RunState,
    at: i64,
}

impl Told {
    fn new(nodes: Vec<Node>) -> Self {
        let graph = Graph {
            schema: SCHEMA,
            name: "test".to_owned(),
            digest: "d".to_owned(),
            sources: String::new(),
            sprag: String::new(),
            cluster: ClusterInfo::default(),
            params: BTreeMap::new(),
            values: BTreeMap::new(),
            seen: crate::plan::graph::Seen::default(),
            root: block(nodes),
        };
        let mut told = Self { state: RunState::new(Arc::new(graph)), at: 1_000 };
        told.apply(Event::RunStarted { digest: "d".to_owned(), seed: 1, whole: BTreeMap::new() });
        told.driver(0);
        told
    }

    fn apply(&mut self, event: Event) {
        self.at += 1;
        if let Err(error) = self.state.apply(self.at, &event) {
            panic!("{error}: {event:?}");
        }
    }

    fn refuses(&mut self, event: Event) {
        let before = format!("{:?}", self.state);
        assert!(self.state.apply(self.at + 1, &event).is_err(), "{event:?}");
        assert_eq!(format!("{:?}", self.state), before, "an illegal event changes nothing");
    }

    fn driver(&mut self, absent: i64) {
        let driver = self.state.driver + 1;
        self.at += absent;
        let (host, sprag) = (String::new(), String::new());
        self.apply(Event::DriverStarted { driver, host, pid: 1, sprag, absent });
    }

    fn start(&mut self, step: &str) {
        let attempt = self.state.steps.get(step).map_or(0, |step| step.attempt) + 1;
        let deadline = Some(self.at + 60_000);
        let step = step.to_owned();
        self.apply(Event::StepStarted { step, attempt, deadline, args: BTreeMap::new(), pre_image: None });
    }

    fn end(&mut self, step: &str, outcome: Outcome) {
        self.apply(Event::StepEnded { step: step.to_owned(), outcome });
    }

    fn done(&mut self, step: &str) {
        self.start(step);
        self.end(step, Outcome::Done { value: None, note: None });
    }

    fn fail(&mut self, step: &str) {
        self.start(step);
        self.end(step, Outcome::Failed { failure: Failure::new("E500", "no") });
    }

    fn select(
        &mut self,
        id: &str,
        names: &[(&str, Option<&str>)],
        batches: &[usize],
        concurrency: usize,
        max_failures: usize,
    ) {
        let element = |(name, key): &(&str, Option<&str>)| Element {
            name: (*name).to_owned(),
            value: Value::string(*name),
            key: key.map(Value::string),
            values: BTreeMap::new(),
            choices: Vec::new(),
        };
        self.apply(Event::RolloutStarted {
            rollout: id.to_owned(),
            elements: names.iter().map(element).collect(),
            batches: batches.to_vec(),
            concurrency,
            max_failures,
            joined: Vec::new(),
            gone: Vec::new(),
        });
    }

    fn turn(&mut self, rollout: &str, element: usize) {
        self.apply(Event::ElementStarted { rollout: rollout.to_owned(), element });
    }

    /// What can begin, in a few words.
    fn ready(&self) -> String {
        let next = self.state.next();
        let words: Vec<String> = next
            .ready
            .iter()
            .map(|ready| match ready {
                Ready::Step(id) => id.clone(),
                Ready::Block(id) => format!("?{id}"),
                Ready::Rollout(id) => format!("{id}[]"),
                Ready::Stop(id) => format!("stop {id}"),
                Ready::Undone(id) => format!("undone {id}"),
                Ready::Elements { rollout, candidates, room } => format!("{rollout}{candidates:?}x{room}"),
            })
            .collect();
        format!("{:?}: {}", next.status, words.join(" "))
    }
}

const ABC: &[(&str, Option<&str>)] = &[("a", None), ("b", None), ("c", None)];

#[test]
fn steps_come_one_after_the_other() {
    let mut run = Told::new(vec![step("one"), group("g", block(vec![step("two")]), None)]);
    assert_eq!(run.ready(), "Active: one");
    run.start("one");
    assert_eq!(run.ready(), "Active: ");
    run.end("one", Outcome::Done { value: None, note: None });
    assert_eq!(run.ready(), "Active: g/two");
    run.done("g/two");
    assert_eq!(run.ready(), "Done: ");
}

#[test]
fn batches_are_barriers_and_between_stands_at_each_but_the_last() {
    let mut run = Told::new(vec![rollout("x", vec![step("s")], Some(block(vec![step("look")])), None)]);
    assert_eq!(run.ready(), "Active: x[]");
    run.select("x", ABC, &[1, 2], 5, 0);
    assert_eq!(run.ready(), "Active: x[0]x5");
    run.turn("x", 0);
    run.done("x/a/s");
    assert_eq!(run.ready(), "Active: x/between@1/look");
    run.done("x/between@1/look");
    assert_eq!(run.ready(), "Active: x[1, 2]x5");
    run.turn("x", 1);
    run.turn("x", 2);
    run.done("x/c/s");
    run.done("x/b/s");
    assert_eq!(run.ready(), "Done: ");
}

#[test]
fn only_different_keys_run_side_by_side() {
    let mut run = Told::new(vec![rollout("x", vec![step("s")], None, None)]);
    run.select("x", &[("a", Some("z1")), ("b", Some("z1")), ("c", Some("z2"))], &[3], 3, 0);
    run.turn("x", 0);
    assert_eq!(run.ready(), "Active: x/a/s x[2]x2");
}

#[test]
fn the_first_failure_lets_no_other_element_begin_and_bodies_are_carried_to_their_end() {
    let mut run = Told::new(vec![rollout("x", vec![step("s"), step("t")], None, Some(block(vec![step("f")])))]);
    run.select("x", ABC, &[3], 2, 0);
    run.turn("x", 0);
    run.turn("x", 1);
    run.fail("x/a/s");
    assert_eq!(run.ready(), "Active: x/b/s");
    run.done("x/b/s");
    run.done("x/b/t");
    assert_eq!(run.ready(), "Failed: ", "a halted rollout has no `finally`");
    run.driver(1_000);
    assert_eq!(run.ready(), "Active: x/a/s x[2]x1", "a resume begins what failed anew");
    run.done("x/a/s");
    run.done("x/a/t");
    run.turn("x", 2);
    run.done("x/c/s");
    run.done("x/c/t");
    assert_eq!(run.ready(), "Active: x/finally/f");
}

#[test]
fn a_tolerated_failure_keeps_its_place() {
    let mut run = Told::new(vec![rollout("x", vec![step("s")], None, None), step("after")]);
    run.select("x", ABC, &[3], 2, 1);
    run.turn("x", 0);
    run.fail("x/a/s");
    assert_eq!(run.ready(), "Active: x[1, 2]x1");
    run.turn("x", 1);
    run.done("x/b/s");
    run.turn("x", 2);
    run.done("x/c/s");
    assert_eq!(run.ready(), "Active: after");
    run.driver(0);
    assert_eq!(run.ready(), "Active: after", "what was tolerated is over for good");
}

#[test]
fn failed_elements_that_hold_every_place_fail_the_rollout() {
    let mut run = Told::new(vec![rollout("x", vec![step("s")], None, None)]);
    run.select("x", ABC, &[3], 1, 2);
    run.turn("x", 0);
    run.fail("x/a/s");
    assert_eq!(run.ready(), "Failed: ");
}

#[test]
fn a_failed_branch_settles_the_others() {
    let branch = |id: &str| group(id, block(vec![step("s"), step("t")]), None);
    let mut run = Told::new(vec![parallel("p", vec![branch("a"), branch("b")])]);
    assert_eq!(run.ready(), "Active: p/a/s p/b/s");
    run.start("p/b/s");
    run.fail("p/a/s");
    assert_eq!(run.ready(), "Active: ");
    run.end("p/b/s", Outcome::Done { value: None, note: None });
    assert_eq!(run.ready(), "Failed: ", "the other branch begins no further statement");
}

#[test]
fn a_block_that_continues_runs_its_finally_and_is_never_begun_anew() {
    let inner = group("in", block(vec![step("s")]), Some(block(vec![step("f")])));
    let mut run = Told::new(vec![
        group("out", tolerant(vec![inner, step("never")]), Some(block(vec![step("f")]))),
        step("after"),
    ]);
    run.fail("out/in/s");
    assert_eq!(run.ready(), "Active: out/in/finally/f");
    run.done("out/in/finally/f");
    assert_eq!(run.ready(), "Active: out/finally/f");
    run.done("out/finally/f");
    assert_eq!(run.ready(), "Active: after");
    run.driver(0);
    assert_eq!(run.ready(), "Active: after");
}

#[test]
fn a_step_in_doubt_asks_and_a_decision_answers() {
    let mut run = Told::new(vec![step("one"), step("two")]);
    run.start("one");
    run.end("one", Outcome::InDoubt { why: "who knows".to_owned() });
    assert_eq!(run.ready(), "Asks: ");
    run.apply(Event::RunHalted { reason: super::event::HaltReason::Asks });
    run.driver(0);
    assert_eq!(run.ready(), "Asks: ", "a resume decides nothing");
    run.apply(Event::Decided { step: "one".to_owned(), decision: Decision::Done, by: "anna".to_owned() });
    assert_eq!(run.ready(), "Active: two");
}

#[test]
fn what_a_person_gave_up_is_not_begun_anew() {
    let mut run = Told::new(vec![step("one")]);
    run.fail("one");
    run.apply(Event::RunHalted { reason: super::event::HaltReason::StepFailed });
    run.apply(Event::Decided { step: "one".to_owned(), decision: Decision::Fail, by: "anna".to_owned() });
    run.driver(0);
    assert_eq!(run.ready(), "Failed: ");
}

#[test]
fn absence_moves_deadlines_and_breaks_long_holds() {
    let mut run = Told::new(vec![step("one")]);
    run.start("one");
    let before = run.state.steps["one"].deadline.unwrap();
    run.apply(Event::StepProgress { step: "one".to_owned(), progress: super::event::Progress::HoldStarted });
    run.driver(HOLD_GAP);
    assert_eq!(run.state.steps["one"].deadline, Some(before + HOLD_GAP));
    assert!(run.state.steps["one"].hold.is_some());
    run.driver(HOLD_GAP + 1);
    assert!(run.state.steps["one"].hold.is_none());
    assert_eq!(run.state.steps["one"].status, StepStatus::Running, "it is found under way");
}

#[test]
fn with_every_two_intervals_are_no_gap_and_count() {
    let mut run = Told::new(vec![step("one")]);
    let args = BTreeMap::from([("every".to_owned(), Value::Duration(900_000))]);
    let (step, deadline) = ("one".to_owned(), None);
    run.apply(Event::StepStarted { step: step.clone(), attempt: 1, deadline, args, pre_image: None });
    run.apply(Event::StepProgress { step, progress: super::event::Progress::HoldStarted });
    let began = run.state.steps["one"].hold;
    run.driver(1_800_000);
    assert_eq!(run.state.steps["one"].hold, began, "what lies between two looks counts");
    run.apply(Event::Absent { absent: 1_800_001 });
    assert_eq!(run.state.steps["one"].hold, None);
}

#[test]
fn an_absence_moves_what_is_attended_and_is_not_counted_twice() {
    let mut run = Told::new(vec![step("one")]);
    run.start("one");
    let before = run.state.steps["one"].deadline.unwrap();
    run.apply(Event::Absent { absent: 60_000 });
    assert_eq!(run.state.steps["one"].deadline, Some(before + 60_000));
    run.apply(Event::OutOfReach { since: run.at, detail: String::new() });
    run.refuses(Event::Absent { absent: 60_000 });
}

#[test]
fn what_people_say_is_no_sign_of_a_driver() {
    let ask = NodeKind::Approve { question: code("sure?"), within: None, by: Some(code("\"sre\"")) };
    let mut run = Told::new(vec![node("ask", ask), step("one")]);
    run.refuses(approved("ask", Some("sre")));
    let args = BTreeMap::from([("by".to_owned(), Value::string("sre"))]);
    let (step, deadline) = ("ask".to_owned(), Some(run.at + 1_000));
    run.apply(Event::StepStarted { step, attempt: 1, deadline, args, pre_image: None });
    assert_eq!(run.ready(), "Active: ");
    run.apply(Event::RunHalted { reason: super::event::HaltReason::Asks });
    let driven = run.at;
    run.refuses(approved("one", Some("sre")));
    run.refuses(approved("ask", Some("dev")));
    run.at += 100;
    run.apply(approved("ask", Some("sre")));
    assert_eq!((run.state.last_driven, run.state.last), (driven, run.at));
    run.refuses(approved("ask", Some("sre")));
    run.driver(0);
    assert_eq!(run.ready(), "Active: one");
}

#[test]
fn an_answer_that_is_late_is_refused_and_one_that_nobody_could_check_is_kept_as_such() {
    let ask = || node("ask", NodeKind::Approve { question: code("sure?"), within: None, by: Some(code("\"sre\"")) });
    let mut run = Told::new(vec![ask()]);
    let args = BTreeMap::from([("by".to_owned(), Value::string("sre"))]);
    let (step, deadline) = ("ask".to_owned(), Some(run.at + 10));
    run.apply(Event::StepStarted { step, attempt: 1, deadline, args, pre_image: None });
    let mut late = run.state.clone();
    assert!(late.apply(run.at + 11, &approved("ask", Some("sre"))).is_err());
    run.apply(approved("ask", None));
    let note = run.state.steps["ask"].note.clone().unwrap();
    assert_eq!(note, "yes, says anna on `ws12`; the cluster did not tell whether that is one of `sre`");
}

fn approved(step: &str, group: Option<&str>) -> Event {
    let login = group.map(|group| Login { name: "anna".to_owned(), groups: vec![group.to_owned()] });
    let by = Person { user: "anna".to_owned(), host: "ws12".to_owned(), login };
    Event::Approved { step: step.to_owned(), by }
}

#[test]
fn a_run_is_given_up_once_and_what_was_begun_is_closed() {
    let finally = |id: &str| Some(block(vec![step(id)]));
    let inner = group("inner", block(vec![step("a"), step("b")]), finally("tidy"));
    let later = group("later", block(vec![step("c")]), finally("never"));
    let nodes = vec![parallel("both", vec![inner, later]), step("after")];
    let mut run = Told::new(vec![group("outer", block(nodes), finally("end"))]);
    run.start("outer/both/inner/a");
    let by = Person { user: "anna".to_owned(), host: "ws12".to_owned(), login: None };
    run.apply(Event::AbortRequested { by: by.clone(), rollback: false });
    run.refuses(Event::AbortRequested { by, rollback: true });
    run.end("outer/both/inner/a", Outcome::Interrupted);
    assert_eq!(run.ready(), "Active: outer/both/inner/finally/tidy");
    run.fail("outer/both/inner/finally/tidy");
    assert_eq!(run.ready(), "Active: outer/finally/end", "one that fails ends nothing");
    run.done("outer/finally/end");
    assert_eq!(run.ready(), "Done: ");
    run.apply(Event::RunEnded { outcome: super::event::RunOutcome::Aborted });
}

#[test]
fn clocks_stand_still_while_the_cluster_is_out_of_reach() {
    let mut run = Told::new(vec![step("one")]);
    run.start("one");
    let before = run.state.steps["one"].deadline.unwrap();
    run.refuses(Event::InReach { away: 5 });
    let since = run.at;
    run.apply(Event::OutOfReach { since, detail: "no route".to_owned() });
    run.refuses(Event::OutOfReach { since, detail: "no route".to_owned() });
    run.apply(Event::InReach { away: 360_000 });
    assert_eq!(run.state.steps["one"].deadline, Some(before + 360_000));
    assert_eq!(run.state.out_of_reach, None);
    run.apply(Event::OutOfReach { since, detail: "no route".to_owned() });
    run.driver(7);
    assert_eq!(run.state.out_of_reach, None, "a new driver finds out for itself");
}

#[test]
fn a_signal_lets_nothing_begin() {
    let mut run = Told::new(vec![step("one"), step("two")]);
    run.start("one");
    run.apply(Event::StopRequested { signal: "SIGINT".to_owned() });
    run.end("one", Outcome::Interrupted);
    assert_eq!(run.ready(), "Idle: ");
    assert_eq!(run.state.standing(), Status::Active);
}

#[test]
fn what_cannot_follow_is_refused_and_changes_nothing() {
    let mut run = Told::new(vec![step("one"), rollout("x", vec![step("s")], None, None)]);
    let start = |step: &str, attempt| Event::StepStarted {
        step: step.to_owned(),
        attempt,
        deadline: None,
        args: BTreeMap::new(),
        pre_image: None,
    };
    let end = |step: &str| Event::StepEnded { step: step.to_owned(), outcome: Outcome::Interrupted };
    run.refuses(start("nowhere", 1));
    run.refuses(start("one", 2));
    run.refuses(end("one"));
    run.refuses(Event::ElementStarted { rollout: "x".to_owned(), element: 0 });
    run.refuses(Event::Decided { step: "one".to_owned(), decision: Decision::Done, by: String::new() });
    run.done("one");
    run.refuses(start("one", 2));
    run.refuses(end("one"));
    run.select("x", ABC, &[3], 1, 0);
    run.refuses(Event::ElementStarted { rollout: "x".to_owned(), element: 7 });
    run.refuses(Event::BlockEntered { block: "one".to_owned(), limit: None });
    run.apply(Event::RunEnded { outcome: super::event::RunOutcome::Aborted });
    run.refuses(start("x/a/s", 1));
}

#[test]
fn every_event_comes_back_from_json_as_it_was() {
    let element = Element {
        name: "a".to_owned(),
        value: Value::string("a"),
        key: Some(Value::Int(3)),
        values: [("v".to_owned(), Value::Version("v1.31.4".parse().unwrap()))].into_iter().collect(),
        choices: vec![(1, 0)],
    };
    let events = [
        Event::RolloutStarted {
            rollout: "x".to_owned(),
            elements: vec![element],
            batches: vec![1],
            concurrency: 1,
            max_failures: 0,
            joined: vec!["b".to_owned()],
            gone: Vec::new(),
        },
        Event::StepStarted {
            step: "s".to_owned(),
            attempt: 1,
            deadline: Some(5),
            args: [("share".to_owned(), Value::Percent(12.5)), ("none".to_owned(), Value::None)].into_iter().collect(),
            pre_image: Some(serde_json::json!({"unschedulable": false})),
        },
        Event::StepEnded { step: "s".to_owned(), outcome: Outcome::Skipped },
        approved("s", Some("sre")),
        Event::Absent { absent: 3 },
        Event::RunHalted { reason: super::event::HaltReason::Parked { until: Some(5) } },
    ];
    for event in events {
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event, "{text}");
    }
    let by = Person { user: "anna".to_owned(), host: "ws12".to_owned(), login: None };
    for word in [Word::Approve { step: "s".to_owned() }, Word::Abort { rollback: true }] {
        let message = Message { word, by: by.clone() };
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message, "{text}");
    }
}
