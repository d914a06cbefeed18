//! Child processes that end with the program that started them, however that ends.
//!
//! A destructor does not run when a program is killed. So the first child is a watchdog: this same executable, started
//! again with [`WATCHDOG`] in its environment and told the ids of its siblings through a pipe. When the pipe closes
//! without a farewell, the program is gone, and the watchdog ends the children and removes their folder.

use super::{Error, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// The variable that makes a start of this executable the watchdog; its value is the folder of the children.
const WATCHDOG: &str = "SPRAG_TESTBED_WATCHDOG";

/// The variable that keeps the folder of the children (logs, certificates, audit log) when all is over.
pub const KEEP: &str = "SPRAG_TESTBED_KEEP";

/// The line that says that nothing is left to end.
const FAREWELL: &str = "bye";

/// Watches, if this process was started as the watchdog, and says whether it was.
///
/// Every program with a testbed calls this first in `main`, and returns at once when it is true.
pub fn watch_if_asked() -> bool {
    let Some(folder) = std::env::var_os(WATCHDOG) else { return false };
    watch(Path::new(&folder));
    true
}

fn watch(folder: &Path) {
    let mut ids = Vec::new();
    for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
        if line == FAREWELL {
            return;
        }
        ids.extend(line.parse::<i32>());
    }
    for id in ids.into_iter().filter(|id| is_in(folder, *id)) {
        let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
    }
    if std::env::var_os(KEEP).is_none() {
        let _ = fs::remove_dir_all(folder);
    }
}

/// Whether a process is one of ours: all of them name the folder on their command line. Ids are used again, and where
/// the system does not show command lines an id is taken at its word.
fn is_in(folder: &Path, id: i32) -> bool {
    match fs::read(format!("/proc/{id}/cmdline")) {
        Ok(line) => line.windows(folder.as_os_str().len()).any(|part| part == folder.as_os_str().as_encoded_bytes()),
        Err(_) => !Path::new("/proc/self").exists(),
    }
}

/// The running children of one testbed, ended when this is dropped.
pub struct Children {
    folder: PathBuf,
    running: Vec<(String, Child)>,
    watchdog: Child,
    words: ChildStdin,
}

impl Children {
    /// No children yet, and the watchdog that will outlive this process; `folder` holds all that they write.
    pub fn new(folder: &Path) -> Result<Children> {
        if std::env::var_os(WATCHDOG).is_some() {
            return Err(Error::Start("`main` must begin with `watch_if_asked`".into()));
        }
        let this = std::env::current_exe().map_err(Error::io("find this executable"))?;
        let mut watchdog = Command::new(this)
            .env(WATCHDOG, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(Error::io("start the watchdog"))?;
        let words = watchdog.stdin.take().ok_or_else(|| Error::Start("the watchdog has no pipe".into()))?;
        Ok(Children { folder: folder.to_owned(), running: Vec::new(), watchdog, words })
    }

    /// Starts a program whose output goes to `NAME.log` in the folder.
    ///
    /// Something in `args` must name the folder: it is how the watchdog knows a child.
    pub fn spawn<A: AsRef<OsStr>>(&mut self, name: &str, program: &Path, args: &[A]) -> Result<()> {
        let log = File::create(self.log(name)).map_err(Error::io(format!("create the log of {name}")))?;
        let errors = log.try_clone().map_err(Error::io(format!("share the log of {name}")))?;
        let child = Command::new(program)
            .args(args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(Error::io(format!("start {}", program.display())))?;
        let told = writeln!(self.words, "{}", child.id());
        self.running.push((name.to_owned(), child));
        told.map_err(Error::io("tell the watchdog"))
    }

    /// Ends one child, as a crash of it would.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        let at = self.running.iter().position(|(running, _)| running == name);
        let at = at.ok_or_else(|| Error::Start(format!("{name} does not run")))?;
        let (_, mut child) = self.running.remove(at);
        child.kill().map_err(Error::io(format!("end {name}")))?;
        child.wait().map(drop).map_err(Error::io(format!("wait for the end of {name}")))
    }

    /// The error of the first child that has ended by itself, with the end of its log.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.running.iter_mut().find_map(|(name, child)| {
            let status = child.try_wait().ok().flatten()?;
            Some((name.clone(), status))
        });
        ended.map_or(Ok(()), |(name, status)| Err(self.obituary(&name, status)))
    }

    fn obituary(&self, name: &str, status: ExitStatus) -> Error {
        let log = fs::read_to_string(self.log(name)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(12)..].join("\n");
        Error::Start(format!("{name} ended by itself ({status}); the end of its log:\n{end}"))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Ends all children, the last started first, and waits for each. What they held is thrown away, so none is asked
    /// to shut down with care.
    pub fn stop(&mut self) {
        while let Some((_, mut child)) = self.running.pop() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.stop();
        let _ = writeln!(self.words, "{FAREWELL}");
        let _ = self.watchdog.wait();
    }
}
