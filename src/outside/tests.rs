//! Real processes, short ones.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{CommandEnd, CommandSpec, Commands, HeldCommand, HostCommands, OutputLine};
use crate::engine::event::Process;

/// How long anything here may take before the test is given up.
const LIMIT: Duration = Duration::from_secs(20);

fn spec(argv: &[&str]) -> CommandSpec {
    CommandSpec { argv: argv.iter().map(|&arg| arg.to_owned()).collect(), env: Vec::new(), dir: None }
}

fn script(text: &str) -> CommandSpec {
    spec(&["sh", "-c", text])
}

async fn held(spec: CommandSpec) -> Box<dyn HeldCommand> {
    HostCommands::new().start(spec).await.unwrap()
}

/// Runs a command to its end: how it ended, and its lines.
async fn run(spec: CommandSpec) -> (CommandEnd, Vec<OutputLine>) {
    let (lines, mut received) = unbounded_channel();
    let end = tokio::time::timeout(LIMIT, held(spec).await.let_go(lines)).await.unwrap().unwrap();
    (end, all(&mut received))
}

fn all(received: &mut UnboundedReceiver<OutputLine>) -> Vec<OutputLine> {
    std::iter::from_fn(|| received.try_recv().ok()).collect()
}

fn texts(lines: &[OutputLine], stderr: bool) -> Vec<&str> {
    lines.iter().filter(|line| line.stderr == stderr).map(|line| line.text.as_str()).collect()
}

/// Waits until it holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "{what} never came true");
}

fn is_alive(process: &Process) -> bool {
    HostCommands::new().is_alive(process) == Some(true)
}

/// Writes its file when it runs.
fn touching(folder: &Path) -> (CommandSpec, PathBuf) {
    let mark = folder.join("mark");
    (spec(&["touch", mark.to_str().unwrap()]), mark)
}

#[tokio::test]
async fn a_held_command_does_nothing_until_it_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, mark) = touching(folder.path());
    let command = held(spec).await;
    let process = command.process();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(is_alive(&process) && !mark.exists());
    let end = command.let_go(unbounded_channel().0).await.unwrap();
    assert_eq!((end.code, mark.exists()), (0, true));
    assert!(!is_alive(&process));
}

#[tokio::test]
async fn a_command_that_is_never_let_go_ends_without_effect() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, mark) = touching(folder.path());
    let command = held(spec).await;
    let process = command.process();
    drop(command);
    until("the end of the shell", || !is_alive(&process)).await;
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_command_goes_on_when_nobody_awaits_it() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let command = held(script(&format!("sleep 0.1; echo a; echo b >&2; touch {}", mark.display()))).await;
    let (lines, received) = unbounded_channel();
    let running = command.let_go(lines);
    drop((running, received));
    until("the mark", || mark.exists()).await;
}

#[tokio::test]
async fn the_whole_group_is_ended() {
    let (lines, mut received) = unbounded_channel();
    let command = held(script("trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000")).await;
    let process = command.process();
    let running = command.let_go(lines);
    let child = received.recv().await.unwrap().text;
    let commands = HostCommands::new();
    commands.end(&process, false);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(is_alive(&process), "the shell ignores SIGTERM");
    commands.end(&process, true);
    let end = tokio::time::timeout(LIMIT, running).await.unwrap().unwrap();
    assert_eq!(end.code, 137);
    until("the end of the child", || !is_running(&child)).await;
    // There is nothing left to end, and nobody else is hit.
    commands.end(&process, true);
}

/// Whether a process of that number runs; a zombie does not.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[tokio::test]
async fn what_a_command_left_behind_keeps_its_group_alive() {
    let command = held(script("sleep 1000 >/dev/null 2>&1 & echo started")).await;
    let process = command.process();
    let end = command.let_go(unbounded_channel().0).await.unwrap();
    assert_eq!(end.code, 0);
    assert!(is_alive(&process), "its child is of the group");
    HostCommands::new().end(&process, true);
    until("the end of the group", || !is_alive(&process)).await;
}

#[tokio::test]
async fn outputs_that_stay_open_do_not_hold_the_end_back() {
    let command = held(script("sleep 1000 & echo started")).await;
    let process = command.process();
    let end = tokio::time::timeout(LIMIT, command.let_go(unbounded_channel().0)).await.unwrap().unwrap();
    assert_eq!((end.code, end.stdout.as_str()), (0, "started\n"));
    HostCommands::new().end(&process, true);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_is_told_by_its_start_not_by_its_number_alone() {
    let command = held(script("sleep 1000")).await;
    let process = command.process();
    let commands = HostCommands::new();
    assert_eq!(commands.is_alive(&process), Some(true));
    let elsewhere = Process { host: "elsewhere".to_owned(), ..process.clone() };
    assert_eq!(commands.is_alive(&elsewhere), None);
    let (boot, ticks) = process.started.rsplit_once(' ').unwrap();
    let earlier = Process { started: format!("{boot} {}", ticks.parse::<u64>().unwrap() - 1), ..process.clone() };
    assert_eq!(commands.is_alive(&earlier), Some(false), "another of the same number");
    let last_boot = Process { started: format!("another {ticks}"), ..process.clone() };
    assert_eq!(commands.is_alive(&last_boot), Some(false));
    for pid in [-1, 0, 1] {
        assert_eq!(commands.is_alive(&Process { pid, ..process.clone() }), Some(false), "{pid}");
    }
    commands.end(&earlier, true);
    commands.end(&elsewhere, true);
    assert_eq!(commands.is_alive(&process), Some(true), "it was not meant");
    drop(command);
}

#[tokio::test]
async fn lines_come_as_they_are_written() {
    let (end, lines) = run(script("echo one; echo two >&2; printf 'three\\r\\n\\nlast'")).await;
    assert_eq!(end, CommandEnd { code: 0, stdout: "one\nthree\r\n\nlast".to_owned(), is_cut: false });
    assert_eq!(texts(&lines, false), ["one", "three", "", "last"]);
    assert_eq!(texts(&lines, true), ["two"]);
    assert!(lines.iter().all(|line| !line.is_cut));
}

#[tokio::test]
async fn a_line_comes_before_the_command_ends() {
    let (lines, mut received) = unbounded_channel();
    let command = held(script("echo now; sleep 1000")).await;
    let process = command.process();
    let running = command.let_go(lines);
    let first = tokio::time::timeout(LIMIT, received.recv()).await.unwrap().unwrap();
    assert_eq!(first.text, "now");
    HostCommands::new().end(&process, false);
    assert_eq!(running.await.unwrap().code, 143);
}

#[tokio::test]
async fn a_long_line_comes_in_pieces_and_no_character_is_cut() {
    // 20,001 bytes: one, then characters of two bytes each.
    let (end, lines) = run(script("printf a; printf 'é%.0s' $(seq 10000); echo; echo b")).await;
    let (long, short) = lines.split_at(lines.len() - 1);
    assert!(long.len() > 1);
    assert!(long.iter().all(|line| line.text.len() <= 8 << 10 && !line.text.contains('\u{fffd}')));
    assert_eq!(
        long.iter().map(|line| line.is_cut).collect::<Vec<_>>(),
        [vec![true; long.len() - 1], vec![false]].concat()
    );
    let whole: String = long.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(whole, format!("a{}", "é".repeat(10_000)));
    assert_eq!(short[0].text, "b");
    assert_eq!((end.stdout.len(), end.is_cut), (20_004, false));
}

#[tokio::test]
async fn what_is_no_utf8_is_replaced() {
    let (end, lines) = run(script("printf 'a\\377b\\n'")).await;
    assert_eq!((end.stdout.as_str(), lines[0].text.as_str()), ("a\u{fffd}b\n", "a\u{fffd}b"));
}

#[tokio::test]
async fn the_first_mib_of_stdout_is_kept() {
    let (end, _) = run(script("head -c 1048576 /dev/zero | tr '\\0' a")).await;
    assert_eq!((end.stdout.len(), end.is_cut), (1 << 20, false));
    let (end, _) = run(script("printf a; head -c 2000000 /dev/zero | tr '\\0' b; head -c 2000000 /dev/zero >&2")).await;
    assert_eq!((end.stdout.len(), end.is_cut), (1 << 20, true));
    // A character of two bytes that does not fit is left out whole.
    let (end, _) = run(script("printf a; yes é | tr -d '\\n' | head -c 1048576")).await;
    assert_eq!((end.stdout.len(), end.is_cut, end.stdout.contains('\u{fffd}')), ((1 << 20) - 1, true, false));
}

#[tokio::test]
async fn codes_and_signals_are_told() {
    for (text, code) in
        [("true", 0), ("false", 1), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
    {
        assert_eq!(run(script(text)).await.0.code, code, "{text}");
    }
}

#[tokio::test]
async fn a_command_has_the_environment_and_the_folder_that_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let mut spec = script("pwd; echo \"$NAME|$SPRAG_GO|${PATH:+inherited}\"; cat");
    spec.env = vec![("NAME".to_owned(), "a 'b' $c".to_owned()), ("EMPTY".to_owned(), String::new())];
    spec.dir = Some(folder.clone());
    let (end, lines) = run(spec).await;
    assert_eq!(end.code, 0, "`cat` finds its input at its end");
    assert_eq!(texts(&lines, false), [folder.to_str().unwrap(), "a 'b' $c||inherited"]);
}

#[tokio::test]
async fn arguments_are_not_read_by_a_shell() {
    let (_, lines) = run(spec(&["printf", "%s\\n", "a b", "$HOME", "'; exit 3", "-c", ""])).await;
    assert_eq!(texts(&lines, false), ["a b", "$HOME", "'; exit 3", "-c", ""]);
}

#[tokio::test]
async fn a_command_that_is_not_there_says_so() {
    let (end, lines) = run(spec(&["no-such-command"])).await;
    assert_eq!(end.code, 127);
    assert!(texts(&lines, true)[0].contains("no-such-command"), "{lines:?}");
    let folder = tempfile::tempdir().unwrap();
    let (end, _) = run(spec(&[folder.path().to_str().unwrap()])).await;
    assert_eq!(end.code, 126);
}

#[tokio::test]
async fn a_command_that_cannot_be_started_says_why() {
    let commands = HostCommands::new();
    let Err(why) = commands.start(spec(&[])).await else { panic!("an empty command started") };
    assert_eq!(why, "the command is empty");
    let mut nowhere = spec(&["true"]);
    nowhere.dir = Some(PathBuf::from("/no/such/folder"));
    let Err(why) = commands.start(nowhere).await else { panic!("started in no folder") };
    assert!(why.starts_with("`true` cannot be started in /no/such/folder: "), "{why}");
    let Err(why) = commands.start(spec(&["a\0b"])).await else { panic!("a command with a zero byte started") };
    assert!(why.contains("cannot be started"), "{why}");
}
