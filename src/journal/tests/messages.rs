//! What people leave for whoever drives a run.

use std::fs;

use super::{Event, Place, begun, done};
use crate::journal::{Delivery, Holder};

fn from(since: i64, pid: u32) -> Holder {
    Holder { host: "ws12/α".to_owned(), pid, since }
}

#[test]
fn messages_come_in_order_and_go_once_they_are_taken() {
    let place = Place::new();
    let inbox = place.run().inbox();
    assert_eq!(inbox.waiting().expect("no folder yet"), [""; 0]);
    let later = inbox.leave(&done("b"), &from(2_000_000_000_000, 7)).expect("left");
    let earlier = inbox.leave(&begun("a"), &from(999, 8)).expect("left");
    assert_eq!(inbox.waiting().expect("a list"), [earlier.clone(), later.clone()]);
    assert_eq!(inbox.read::<Event>(&earlier).expect("a file"), Ok(begun("a")));
    assert_eq!(inbox.delivery(&earlier).expect("a look"), Delivery::Waits);
    inbox.take_out(&earlier).expect("taken");
    inbox.take_out(&earlier).expect("what is gone is taken");
    assert_eq!(inbox.delivery(&earlier).expect("a look"), Delivery::Taken);
    assert_eq!(inbox.waiting().expect("a list"), [later]);
}

#[test]
fn a_refusal_is_told_once() {
    let place = Place::new();
    let inbox = place.run().inbox();
    let name = inbox.leave(&done("a"), &from(1, 1)).expect("left");
    inbox.refuse(&name, "it has not asked").expect("refused");
    assert_eq!(inbox.waiting().expect("a list"), [""; 0]);
    assert_eq!(inbox.delivery(&name).expect("a look"), Delivery::Refused("it has not asked".to_owned()));
    assert_eq!(fs::read_dir(place.runs.path().join("7c1f-01/inbox")).expect("a folder").count(), 0);
}

#[test]
fn what_is_half_written_or_no_message_disturbs_nobody() {
    let place = Place::new();
    let dir = place.run();
    let inbox = dir.inbox();
    let name = inbox.leave(&done("a"), &from(1, 1)).expect("left");
    let folder = dir.path().join("inbox");
    fs::write(folder.join(".incomplete-x"), "{").expect("written");
    fs::write(folder.join("0-strange.json"), "{\"t\": \"gone\"}").expect("written");
    fs::write(folder.join("1-bytes.json"), [0xff, 0xfe]).expect("written");
    assert_eq!(inbox.waiting().expect("a list"), ["0-strange.json", &name, "1-bytes.json"]);
    for name in ["0-strange.json", "1-bytes.json"] {
        assert!(inbox.read::<Event>(name).expect("a file").is_err(), "{name}");
    }
}
