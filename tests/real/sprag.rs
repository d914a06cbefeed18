//! The `sprag` binary, run as a person runs it: in a folder of its own, against the testbed's API server.

use crate::testbed::{Lab, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// A folder with playbooks and runs.
pub struct Sprag {
    folder: TempDir,
    lab: Arc<Lab>,
    kubeconfig: PathBuf,
    domain: String,
}

/// What a command came to.
#[derive(Debug)]
pub struct Done {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it wrote on stdout.
    pub stdout: String,
    /// What it wrote on stderr.
    pub stderr: String,
}

impl Sprag {
    /// An empty folder, and the rights of an administrator.
    pub fn new(lab: &Arc<Lab>) -> Result<Self> {
        let folder = TempDir::new()?;
        let name = folder.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let domain = name.replace(|c: char| !c.is_ascii_alphanumeric(), "");
        Ok(Self { folder, lab: lab.clone(), kubeconfig: lab.kubeconfig(), domain })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// In the domain of another, to be kept out by its lock.
    pub fn in_domain_of(mut self, other: &Sprag) -> Self {
        self.domain = other.domain.clone();
        self
    }

    /// With another login.
    pub fn with_kubeconfig(mut self, kubeconfig: PathBuf) -> Self {
        self.kubeconfig = kubeconfig;
        self
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.folder.path().join(name), text)?)
    }

    /// A command that is not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sprag"));
        command.args(args).current_dir(self.folder.path()).envs(self.lab.env());
        // For commands of playbooks that must not go the way that sprag goes.
        command.env("TESTBED_KUBECONFIG", self.lab.kubeconfig());
        // Runs of other trials go on on the same cluster: each has a domain of its own.
        command.env("SPRAG_DOMAIN", &self.domain);
        command.env("KUBECONFIG", &self.kubeconfig).env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    pub fn run(&self, args: &[&str]) -> Result<Done> {
        Ok(done(self.command(args).output()?))
    }

    /// Runs to the end with more environment.
    pub fn run_with(&self, args: &[&str], env: &[(&str, String)]) -> Result<Done> {
        let mut command = self.command(args);
        command.envs(env.iter().map(|(name, value)| (name, value.as_str())));
        Ok(done(command.output()?))
    }

    /// Starts, and does not wait. What it writes goes to files in the folder.
    pub fn start(&self, args: &[&str], name: &str) -> Result<Child> {
        let file = |kind: &str| fs::File::create(self.folder.path().join(format!("{name}.{kind}")));
        Ok(self.command(args).stdout(file("out")?).stderr(file("err")?).spawn()?)
    }

    /// What a command that was started wrote on stderr, and then on stdout.
    pub fn said(&self, name: &str) -> String {
        let read = |kind: &str| fs::read_to_string(self.folder.path().join(format!("{name}.{kind}")));
        read("err").unwrap_or_default() + read("out").unwrap_or_default().as_str()
    }
}

fn done(output: Output) -> Done {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
