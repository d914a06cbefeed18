//! A `console` block: commands behind `$`, each followed by what it writes and by `exit` with its code.
//!
//! Commands go through `sh`, in a folder that holds the scene's files, with `sprag` on the path, no colour and no login.
//! Stdout stands before stderr, whatever came first; the folder's own path is shown as `FOLDER`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::markdown::Fence;

/// What a person would see in place of the block.
pub(crate) fn outcome(expected: &Fence, scene: &[Fence]) -> Result<String, Box<dyn std::error::Error>> {
    let folder = tempfile::TempDir::new()?;
    for fence in scene {
        let default = (fence.kind == "sprag").then_some("playbook.sprag");
        if let Some(name) = fence.value("file").or(default) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            fs::write(path, fence.source())?;
        }
    }
    let mut seen = String::new();
    for command in expected.text.lines().filter_map(|line| line.strip_prefix("$ ")) {
        seen.push_str(&format!("$ {command}\n{}", run(command, folder.path())?));
    }
    Ok(seen)
}

fn run(command: &str, folder: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let bin = Path::new(env!("CARGO_BIN_EXE_sprag")).parent().unwrap_or(folder);
    let path = std::env::var("PATH").unwrap_or_default();
    let done = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env_clear()
        .env("PATH", format!("{}:{path}", bin.display()))
        .envs([
            ("HOME", folder.as_os_str()),
            ("NO_COLOR", "1".as_ref()),
            ("COLUMNS", "100".as_ref()),
            ("TZ", "UTC".as_ref()),
        ])
        .stdin(Stdio::null())
        .output()?;
    let mut text = String::new();
    for stream in [&done.stdout, &done.stderr] {
        let part = String::from_utf8_lossy(stream).replace(&folder.display().to_string(), "FOLDER");
        text.extend(part.lines().map(|line| format!("{}\n", line.trim_end())));
    }
    let code = done.status.code().map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
    Ok(format!("{text}exit {code}\n"))
}
