//! Commands on runs whose journals are made here: halted, half written, cut, edited, of a newer sprag, held by another.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sprag::engine::event::{Event, Failure, HaltReason, Outcome, RunOutcome};
use sprag::journal::{Header, Holder, Journal, RunDir, RunsDir};
use sprag::plan::graph::SCHEMA;
use tempfile::TempDir;

type Outcomes = Result<(), Box<dyn Error>>;

const DIGEST: &str = "7c1f09ab00000000000000000000000000000000000000000000000000000000";
const PLAYBOOK: &str = "log(\"one\")\nlog(\"two\")\n";
/// When everything here happened, Unix milliseconds.
const AT: i64 = 1_760_000_000_000;

/// A folder with a playbook and its runs.
struct Bench {
    folder: TempDir,
}

/// What a command came to.
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Bench {
    fn new() -> Result<Self, Box<dyn Error>> {
        let folder = TempDir::new()?;
        fs::write(folder.path().join("two.sprag"), PLAYBOOK)?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A run with these events.
    fn run(&self, events: Vec<Event>) -> Result<RunDir, Box<dyn Error>> {
        let dir = RunsDir::new(self.path(".sprag/runs")).create(DIGEST)?;
        dir.write_plan(&serde_json::to_vec(&graph())?, [("two.sprag", PLAYBOOK)])?;
        let header = Header::new(dir.id(), DIGEST, "", AT);
        let mut journal = Journal::create(&dir, &header, &Holder { host: "elsewhere".to_owned(), pid: 1, since: AT })?;
        journal.append(events, AT)?;
        Ok(dir)
    }

    fn sprag(&self, args: &[&str]) -> Result<Done, Box<dyn Error>> {
        let output = Command::new(env!("CARGO_BIN_EXE_sprag"))
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .envs([("NO_COLOR", "1"), ("TZ", "UTC"), ("USER", "anna")])
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Done { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }
}

impl Done {
    /// Exits so, and says each of these somewhere.
    #[track_caller]
    fn says(&self, code: i32, parts: &[&str]) {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{all}");
        for part in parts {
            assert!(all.contains(part), "`{part}` is not said in\n{all}");
        }
        assert!(!all.contains("E599"), "{all}");
    }
}

/// What the runs carry out, as JSON: what a graph may leave out is left out.
fn graph() -> Value {
    json!({
        "schema": SCHEMA, "name": "two", "digest": DIGEST, "sources": DIGEST, "sprag": "0.1.0",
        "cluster": { "uid": "", "name": "", "version": "", "as_of": AT }, "params": {}, "values": {},
        "root": { "nodes": [log("log", "one", 1), log("log#2", "two", 2)] },
    })
}

fn log(id: &str, text: &str, line: u32) -> Value {
    let text = format!("{text:?}");
    json!({
        "id": id, "text": format!("log({text})"),
        "place": { "file": "two.sprag", "line": line, "column": 1, "start": 0, "end": 10 },
        "kind": { "action": { "name": "log", "args": [["text", { "text": text, "code": text, "ty": "string" }]] } },
    })
}

fn begun() -> Vec<Event> {
    vec![
        Event::RunStarted { digest: DIGEST.to_owned(), seed: 1, whole: BTreeMap::new() },
        Event::DriverStarted { driver: 1, host: "elsewhere".to_owned(), pid: 1, sprag: "0.1.0".to_owned(), absent: 0 },
        started("log"),
    ]
}

fn started(step: &str) -> Event {
    Event::StepStarted { step: step.to_owned(), attempt: 1, deadline: None, args: BTreeMap::new(), pre_image: None }
}

fn ended(step: &str, outcome: Outcome) -> Event {
    Event::StepEnded { step: step.to_owned(), outcome }
}

/// A run whose first step failed.
fn halted() -> Vec<Event> {
    let failure = Failure::new("E510", "the step did not work").help("look at it");
    let failed = ended("log", Outcome::Failed { failure });
    begun().into_iter().chain([failed, Event::RunHalted { reason: HaltReason::StepFailed }]).collect()
}

/// A run that is over.
fn done() -> Vec<Event> {
    let good = || Outcome::Done { value: None, note: None };
    let rest =
        [ended("log", good()), started("log#2"), ended("log#2", good()), Event::RunEnded { outcome: RunOutcome::Done }];
    begun().into_iter().chain(rest).collect()
}

fn journal_of(dir: &RunDir) -> PathBuf {
    dir.path().join("journal")
}

#[test]
fn a_halted_run_is_shown_listed_and_decided_about() -> Outcomes {
    let bench = Bench::new()?;
    bench.run(halted())?;
    bench.sprag(&["status"])?.says(
        0,
        &["two  run 7c1f-01   halted", "error[E510]: the step did not work", "two.sprag:1:1", "sprag resume 7c1f-01"],
    );
    bench.sprag(&["runs"])?.says(0, &["7c1f-01  halted"]);
    bench.sprag(&["decide", "7c1f-01", "lgo", "done"])?.says(2, &["error[E508]", "did you mean `log`?"]);
    bench.sprag(&["decide", "7c1f-01", "log#2", "done"])?.says(2, &["error[E508]", "begun no step `log#2`"]);
    bench.sprag(&["decide", "7c1f-01", "log", "done"])?.says(0, &["noted", "sprag resume 7c1f-01"]);
    bench.sprag(&["status", "--format", "json"])?.says(0, &["\"status\": \"done\"", "\"phase\": \"halted\""]);
    Ok(())
}

#[test]
fn a_run_that_is_over_cannot_be_resumed() -> Outcomes {
    let bench = Bench::new()?;
    bench.run(done())?;
    bench.sprag(&["status"])?.says(0, &["two  run 7c1f-01   done"]);
    bench.sprag(&["resume", "7c1f-01"])?.says(2, &["error[E508]: run 7c1f-01 has ended: done"]);
    bench.sprag(&["resume"])?.says(2, &["error[E508]: there is no run that can be resumed"]);
    bench.sprag(&["decide", "7c1f-01", "log", "retry"])?.says(2, &["error[E508]: `log` is done"]);
    Ok(())
}

#[test]
fn a_resume_tells_what_it_found_before_it_asks_the_cluster() -> Outcomes {
    let bench = Bench::new()?;
    let dir = bench.run(halted())?;
    let bytes = fs::read(journal_of(&dir))?;
    fs::write(journal_of(&dir), &bytes[..bytes.len() - 10])?;
    bench.sprag(&["resume"])?.says(
        2,
        &[
            "two  run 7c1f-01   was interrupted",
            "  log   failed: the step did not work   begun anew\n",
            "playbook, modules and parameters are those of the run (digest 7c1f09ab)\n",
            "the last record was half written and is cut off",
            "error[E701]",
        ],
    );
    bench.sprag(&["decide", "7c1f-01", "log", "done"])?.says(2, &["run 7c1f-01 is not halted but under way"]);
    Ok(())
}

#[test]
fn with_several_runs_resume_asks_which() -> Outcomes {
    let bench = Bench::new()?;
    bench.run(halted())?;
    bench.run(begun())?;
    bench.sprag(&["resume"])?.says(2, &["error[E508]: several runs", "7c1f-01 (two)", "7c1f-02 (two)"]);
    bench.sprag(&["runs"])?.says(0, &["7c1f-01  halted", "7c1f-02  interrupted"]);
    Ok(())
}

#[test]
fn a_torn_tail_is_no_damage() -> Outcomes {
    let bench = Bench::new()?;
    let dir = bench.run(halted())?;
    let bytes = fs::read(journal_of(&dir))?;
    fs::write(journal_of(&dir), &bytes[..bytes.len() - 10])?;
    bench.sprag(&["status"])?.says(0, &["interrupted: nobody drives it", "the step did not work"]);
    Ok(())
}

#[test]
fn an_edited_journal_is_refused_and_shown_as_far_as_it_is_good() -> Outcomes {
    let bench = Bench::new()?;
    let dir = bench.run(halted())?;
    let lines: Vec<String> = fs::read_to_string(journal_of(&dir))?.lines().map(|line| format!("{line}\n")).collect();
    let edited = lines.concat().replacen("elsewhere", "elsewhera", 1);
    fs::write(journal_of(&dir), edited)?;
    bench.sprag(&["resume", "7c1f-01"])?.says(7, &["error[E603]", "is damaged at byte"]);
    bench.sprag(&["status"])?.says(7, &["two  run 7c1f-01", "error[E603]"]);

    let dropped: String = lines.iter().enumerate().filter(|(at, _)| *at != 2).map(|(_, line)| line.as_str()).collect();
    fs::write(journal_of(&dir), dropped)?;
    bench.sprag(&["resume", "7c1f-01"])?.says(7, &["error[E608]", "was changed at byte"]);
    bench.sprag(&["decide", "7c1f-01", "log", "done"])?.says(7, &["error[E608]"]);

    fs::write(journal_of(&dir), "nothing of ours\n")?;
    bench.sprag(&["resume", "7c1f-01"])?.says(7, &["error[E610]", "is not a sprag journal"]);
    fs::write(journal_of(&dir), "")?;
    bench.sprag(&["resume", "7c1f-01"])?.says(7, &["error[E606]", "never began"]);
    Ok(())
}

#[test]
fn a_journal_of_a_newer_sprag_is_refused() -> Outcomes {
    let bench = Bench::new()?;
    let dir = bench.run(halted())?;
    let text = fs::read_to_string(journal_of(&dir))?;
    let json = text.lines().next().and_then(|line| line.splitn(3, ' ').nth(2)).ok_or("no header")?;
    let newer = json.replacen("\"format\":1", "\"format\":2", 1);
    let line = format!("{:08x} {} {newer}\n", crc32fast::hash(newer.as_bytes()), newer.len());
    fs::write(journal_of(&dir), line)?;
    for command in ["resume", "status"] {
        bench.sprag(&[command, "7c1f-01"])?.says(7, &["error[E604]", "newer sprag", "its format is 2"]);
    }
    Ok(())
}

#[test]
fn a_graph_that_is_newer_or_damaged_is_refused() -> Outcomes {
    let bench = Bench::new()?;
    let dir = bench.run(halted())?;
    let mut newer = graph();
    newer["schema"] = (SCHEMA + 1).into();
    dir.write_plan(&serde_json::to_vec(&newer)?, [])?;
    bench.sprag(&["resume", "7c1f-01"])?.says(7, &["error[E604]", "graph is of schema"]);
    dir.write_plan(b"{\"schema\":1}", [])?;
    bench.sprag(&["status", "7c1f-01"])?.says(7, &["error[E603]", "the graph of run `7c1f-01` is damaged"]);
    bench.sprag(&["runs"])?.says(0, &["7c1f-01  unreadable"]);
    fs::write(dir.path().join("graph.json.gz"), "no gzip")?;
    bench.sprag(&["status", "7c1f-01"])?.says(7, &["error[E603]"]);
    fs::remove_file(dir.path().join("graph.json.gz"))?;
    bench.sprag(&["status", "7c1f-01"])?.says(7, &["error[E601]", "graph.json.gz"]);
    Ok(())
}

#[test]
fn a_run_that_is_driven_is_not_driven_twice() -> Outcomes {
    let bench = Bench::new()?;
    let dir = bench.run(begun())?;
    let holder = Holder { host: "elsewhere".to_owned(), pid: 4711, since: AT };
    let opened = Journal::open_append::<Event>(&dir, &holder)?;
    for args in [&["resume"][..], &["resume", "7c1f-01"], &["decide", "7c1f-01", "log", "done"]] {
        bench.sprag(args)?.says(6, &["error[E605]: run `7c1f-01` is held by process 4711 on `elsewhere`"]);
    }
    bench.sprag(&["status"])?.says(0, &["under way, driven by process 4711 on elsewhere"]);
    drop(opened);
    bench.sprag(&["status"])?.says(0, &["interrupted: nobody drives it"]);
    Ok(())
}

#[test]
fn an_edited_playbook_is_named_before_anything_is_asked_of_a_cluster() -> Outcomes {
    let bench = Bench::new()?;
    bench.run(halted())?;
    fs::write(bench.path("two.sprag"), "log(\"one\")\nlog(\"three\")\n")?;
    bench.sprag(&["resume"])?.says(3, &["error[E506]: two.sprag was edited since run 7c1f-01 began", "--pinned"]);
    fs::write(bench.path("two.sprag"), [0xff, 0xfe])?;
    bench.sprag(&["resume"])?.says(3, &["error[E506]"]);
    Ok(())
}

#[test]
fn a_secret_is_asked_for_before_anything_is_shown() -> Outcomes {
    let bench = Bench::new()?;
    let dir = bench.run(halted())?;
    let mut graph = graph();
    graph["params"] = json!({ "token": { "secret": "token" } });
    dir.write_plan(&serde_json::to_vec(&graph)?, [])?;
    bench.sprag(&["resume"])?.says(2, &["error[E402]: the secret `token` is missing", "--set token=@FILE"]);
    bench.sprag(&["resume", "--set", "token=env:HOME", "--set", "text=a"])?.says(2, &["error[E401]: `text` is not"]);
    let plain = bench.sprag(&["resume", "--set", "token=hunter2"])?;
    plain.says(2, &["error[E405]"]);
    assert!(!plain.stderr.contains("hunter2"));
    Ok(())
}

#[test]
fn what_cannot_be_written_is_said() -> Outcomes {
    let bench = Bench::new()?;
    let full = Path::new("/dev/full");
    if !full.exists() {
        return Ok(());
    }
    bench.run(halted())?;
    let output = Command::new(env!("CARGO_BIN_EXE_sprag"))
        .arg("status")
        .current_dir(bench.folder.path())
        .env("NO_COLOR", "1")
        .stdout(fs::File::options().write(true).open(full)?)
        .output()?;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the result cannot be written to stdout"));
    Ok(())
}
