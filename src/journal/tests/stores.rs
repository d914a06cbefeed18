//! Both stores keep one promise: what was answered is there, in order, and nothing else.

use std::io::{Read as _, pipe};
use std::os::fd::OwnedFd;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{StoreHandle, read_only};
use super::*;

fn spawn(journal: Journal) -> StoreHandle<Event> {
    StoreHandle::spawn(journal).expect("a thread")
}

#[tokio::test]
async fn appends_are_made_in_the_order_of_the_calls() {
    let place = Place::new();
    let dir = place.run();
    let store = spawn(create(&dir));
    let unawaited: Vec<_> = (0..20).map(|n| store.append(vec![begun(&n.to_string())], CREATED + n)).collect();
    let last = store.append(vec![done("last")], CREATED + 20).await.expect("an append");
    assert_eq!(last[0].seq, 21);
    assert_eq!(store.pending_since(), None);
    for (n, appended) in (1..).zip(unawaited) {
        assert_eq!(appended.await.expect("an append")[0].seq, n);
    }
    store.touch_alive(CREATED + 99);
    store.close().await;
    assert_eq!(dir.alive_ms(), Some(CREATED + 99));
    assert_eq!(open(&dir).expect("no lock").records.len(), 21);
}

#[tokio::test]
async fn what_nobody_waits_for_is_recorded_all_the_same() {
    let place = Place::new();
    let dir = place.run();
    let store = spawn(create(&dir));
    drop(store.append(vec![begun("a")], CREATED));
    store.close().await;
    assert_eq!(read_only::<Event>(&dir).expect("a journal").records.len(), 1);
}

#[tokio::test]
async fn a_disk_that_hangs_is_seen_and_stops_nobody_else() {
    let place = Place::new();
    let mut journal = create(&place.run());
    // A pipe that nobody reads: the write begins and does not end.
    let (mut reader, writer) = pipe().expect("a pipe");
    journal.file = OwnedFd::from(writer).into();
    let store = spawn(journal);
    let mut hanging = store.append(vec![begun(&"x".repeat(1 << 20))], CREATED + 5);
    let behind = store.append(vec![done("x")], CREATED + 8);
    let waited = tokio::time::timeout(Duration::from_millis(50), &mut hanging).await;
    assert!(waited.is_err(), "the loop goes on while the disk hangs");
    assert_eq!(store.pending_since(), Some(CREATED + 5));

    let written = std::thread::spawn(move || {
        let mut bytes = vec![0; 1 << 20];
        reader.read_exact(&mut bytes).expect("the record's beginning");
        reader.read(&mut bytes).expect("its end")
    });
    let error = hanging.await.expect_err("a pipe cannot be synced");
    assert!(matches!(error, JournalError::AppendFailed { .. }), "{error}");
    let error = behind.await.expect_err("poisoned");
    assert!(matches!(error, JournalError::Poisoned { .. }), "{error}");
    assert_eq!(store.pending_since(), None);
    assert!(written.join().expect("a reader") > 0);
}

/// An event that brings its thread down.
#[derive(Debug, Clone)]
struct Bomb;

impl Serialize for Bomb {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("an event that cannot be written (this test wants the panic)")
    }
}

impl<'de> Deserialize<'de> for Bomb {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self)
    }
}

#[tokio::test]
async fn a_thread_that_is_gone_is_an_error_and_no_hang() {
    let place = Place::new();
    let dir = place.run();
    let store = StoreHandle::spawn(create(&dir)).expect("a thread");
    for _ in 0..2 {
        let error = store.append(vec![Bomb], CREATED).await.expect_err("gone");
        assert_eq!(error.code(), "E609");
    }
    store.close().await;
    assert!(open(&dir).is_ok(), "the lock went with the thread");
}

#[tokio::test(start_paused = true)]
async fn memory_answers_at_once_and_refuses_the_driver_before() {
    let first = MemoryStore::new(&header("7c1f-01"));
    let begun_at = tokio::time::Instant::now();
    assert_eq!(first.append(vec![begun("a")], CREATED).await.expect("an append")[0].driver, 1);
    let second = first.reopen();
    let error = first.append(vec![done("a")], CREATED).await.expect_err("taken over");
    assert_eq!(error.to_string(), "nothing more can be appended: driver 2 has taken the run over");
    let added = second.append(vec![done("a")], CREATED).await.expect("an append");
    assert_eq!((added[0].driver, added[0].seq, second.driver()), (2, 2, 2));
    let nan = Event::Measured { value: f64::NAN };
    assert_eq!(second.append(vec![nan], CREATED).await.expect_err("a NaN").code(), "E609");
    assert_eq!(second.append(vec![done("b")], CREATED).await.expect_err("poisoned").code(), "E609");
    second.touch_alive(CREATED + 1);
    assert_eq!((second.alive_ms(), second.pending_since()), (Some(CREATED + 1), None));
    assert_eq!(records_in(&second.bytes()).expect("a journal"), second.records());
    assert_eq!(begun_at.elapsed(), Duration::ZERO);
}

/// What can happen to a store.
#[derive(Debug, Clone)]
enum Op {
    Append(Vec<Event>),
    Reopen,
    /// The process dies in the middle of an append, which leaves this much of a line.
    Tear(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let event = prop_oneof![
        ".{0,40}".prop_map(|step| begun(&step)),
        "[a-z/]{1,9}".prop_map(|step| done(&step)),
        any::<i32>().prop_map(|value| Event::Measured { value: f64::from(value) / 8.0 }),
    ];
    prop_oneof![
        6 => prop::collection::vec(event, 0..5).prop_map(Op::Append),
        2 => Just(Op::Reopen),
        1 => (1..60_usize).prop_map(Op::Tear),
    ]
}

/// What any store should hold: number, time, driver and event.
type Model = Vec<(u64, i64, u32, Event)>;

/// Does `ops` to a store that `reopen` makes anew, given the model's number of the next driver.
async fn play<S: Store<Event>>(ops: &[Op], mut store: S, reopen: impl AsyncFn(S, usize) -> S) -> Model {
    let mut model = Model::new();
    let mut driver = 1;
    for (at, op) in (CREATED..).zip(ops) {
        match op {
            Op::Append(events) => {
                let added = store.append(events.clone(), at).await.expect("an append");
                let seqs = model.len() as u64 + 1..;
                let expected = seqs.zip(events).map(|(seq, event)| (seq, at, driver, event.clone()));
                model.extend(expected);
                let from = model.len() - events.len();
                assert_eq!(plain(added), model[from..]);
            }
            Op::Reopen | Op::Tear(_) => {
                let tail = if let Op::Tear(bytes) = op { *bytes } else { 0 };
                store = reopen(store, tail).await;
                driver = model.last().map_or(0, |last| last.2) + 1;
            }
        }
    }
    let _ = reopen(store, 0).await;
    model
}

fn plain(records: Vec<Record<Event>>) -> Model {
    let parts = |record: Record<Event>| (record.seq, record.at, record.driver, record.event);
    records.into_iter().map(parts).collect()
}

fn tear(dir: &RunDir, bytes: usize) {
    let mut journal = fs::read(dir.epoch_path(1)).expect("bytes");
    let line = line_of(&serde_json::json!({"v": 1, "seq": 9, "text": "x".repeat(60)}));
    journal.extend(&line[..bytes]);
    fs::write(dir.epoch_path(1), journal).expect("a journal");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_hold_what_the_model_holds(ops in prop::collection::vec(op(), 0..14)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let place = Place::new();
            let dir = place.run();
            let reopen = async |store: StoreHandle<Event>, tail: usize| {
                store.close().await;
                tear(&dir, tail);
                let opened = open(&dir).expect("a journal");
                assert_eq!(opened.repaired.map_or(0, |torn| torn.bytes), tail as u64);
                spawn(opened.journal)
            };
            let model = play(&ops, spawn(create(&dir)), reopen).await;
            let read = read_only::<Event>(&dir).expect("a journal");
            assert_eq!(plain(read.records), model);

            let memory = MemoryStore::new(&header(dir.id()));
            let reopen = async |store: MemoryStore<Event>, _| store.reopen();
            let in_memory = play(&ops, memory.reopen(), reopen).await;
            assert_eq!(in_memory, model);
            assert_eq!(plain(memory.records()), model);
            assert_eq!(memory.bytes(), fs::read(dir.epoch_path(1)).expect("bytes"));
        });
    }
}
