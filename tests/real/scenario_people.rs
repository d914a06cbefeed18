//! People, from a second process: an answer that only some may give, a run that is given up, one that is parked.

use crate::expect::ensure;
use crate::sprag::Sprag;
use crate::testbed::bed::Bed;
use crate::testbed::{Lab, until};
use libtest_mimic::{Failed, Trial};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

const ASKS: &str = r#"
param team: string

group "change" {
    approve "etcd snapshot taken?" within 10m by team
    log("went on")
} finally { log("ended: ${outcome}") }
"#;

/// All trials of this file.
pub fn trials(bed: &Arc<Bed>) -> Vec<Trial> {
    vec![
        bed.trial("people::who_may_answer_is_asked_of_the_cluster", answered),
        bed.trial("people::a_run_is_given_up_from_another_process", given_up),
        bed.trial("people::a_parked_run_takes_the_answer_and_is_resumed", parked),
    ]
}

/// The login of the testbed is one of `system:masters`; a user that it acts as is not.
fn answered(lab: &Arc<Lab>) -> Result<(), Failed> {
    let sprag = Sprag::new(lab)?;
    sprag.write("playbook.sprag", ASKS)?;
    let mut child = sprag.start(&["run", "playbook.sprag", "--set", "team=system:masters"], "run")?;
    let run = asking(&sprag)?;
    let refused = sprag.run(&["approve", &run, "--as", "bob"])?;
    ensure(refused.code == Some(2), format!("{refused:?}"))?;
    ensure(refused.stderr.contains("`bob` is not in the group `system:masters`"), format!("{refused:?}"))?;
    let status = sprag.run(&["status"])?.stdout;
    ensure(status.contains("asks a person of `system:masters`"), format!("it still asks: {status}"))?;
    let yes = sprag.run(&["approve", &run])?;
    ensure(yes.code == Some(0) && yes.stdout.contains("the run goes on"), format!("{yes:?}"))?;
    let ended = child.wait()?;
    let said = sprag.said("run");
    ensure(ended.code() == Some(0) && said.contains("went on"), format!("{ended}: {said}"))?;
    ensure(said.contains("yes, says"), format!("it says who: {said}"))?;
    let left = fs::read_dir(sprag.folder().join(".sprag/runs").join(&run).join("inbox"))?.count();
    ensure(left == 0, format!("{left} messages are left"))
}

fn given_up(lab: &Arc<Lab>) -> Result<(), Failed> {
    let sprag = Sprag::new(lab)?;
    sprag.write("playbook.sprag", ASKS)?;
    let mut child = sprag.start(&["run", "playbook.sprag", "--set", "team=system:masters"], "run")?;
    let run = asking(&sprag)?;
    let noted = sprag.run(&["abort", &run])?;
    ensure(noted.code == Some(0), format!("{noted:?}"))?;
    let ended = child.wait()?;
    let said = sprag.said("run");
    ensure(ended.code() == Some(22) && said.contains("ended: aborted"), format!("{ended}: {said}"))?;
    let again = sprag.run(&["abort", &run])?;
    ensure(again.code == Some(2) && again.stderr.contains("the run is aborted"), format!("{again:?}"))
}

fn parked(lab: &Arc<Lab>) -> Result<(), Failed> {
    let sprag = Sprag::new(lab)?;
    sprag.write("playbook.sprag", ASKS)?;
    let left = sprag.run(&["run", "playbook.sprag", "--set", "team=system:masters", "--park", "1m"])?;
    ensure(left.code == Some(12) && left.stdout.contains("etcd snapshot taken?"), format!("{left:?}"))?;
    let run = asking(&sprag)?;
    let yes = sprag.run(&["approve", &run, "change/approve"])?;
    ensure(yes.code == Some(0) && yes.stdout.contains("sprag resume"), format!("{yes:?}"))?;
    let twice = sprag.run(&["approve", &run, "change/approve"])?;
    ensure(twice.code == Some(2) && twice.stderr.contains("has its answer"), format!("{twice:?}"))?;
    let resumed = sprag.run(&["resume"])?;
    ensure(resumed.code == Some(0) && resumed.stderr.contains("ended: done"), format!("{resumed:?}"))
}

/// The id of the one run of a folder, once it asks.
fn asking(sprag: &Sprag) -> Result<String, Failed> {
    until("the run asks", SOON, || {
        let status = sprag.run(&["status"])?;
        Ok(status.stdout.contains("asks a person").then_some(()))
    })?;
    let mut runs = fs::read_dir(sprag.folder().join(".sprag/runs"))?;
    let run = runs.next().ok_or("there is no run")??;
    Ok(run.file_name().to_string_lossy().into_owned())
}
