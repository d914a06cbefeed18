//! What the README says, held against what is there.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

#[path = "harness/markdown.rs"]
#[allow(dead_code, reason = "cases need more of it")]
mod markdown;

use markdown::Case;

fn readme() -> Result<String, Box<dyn Error>> {
    Ok(fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"))?)
}

fn sprag(args: &[&str]) -> Result<(bool, String), Box<dyn Error>> {
    let output = Command::new(env!("CARGO_BIN_EXE_sprag")).args(args).env("NO_COLOR", "1").output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn every_playbook_in_it_is_without_mistakes() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::TempDir::new()?;
    let case = Case::parse(&readme()?)?;
    let playbooks: Vec<_> = case.fences.iter().filter(|fence| fence.kind == "sprag").collect();
    assert!(!playbooks.is_empty());
    for playbook in playbooks {
        let file = folder.path().join("readme.sprag");
        fs::write(&file, playbook.source())?;
        let (is_good, said) = sprag(&["check", &file.display().to_string()])?;
        assert!(is_good && said.ends_with("no mistakes\n"), "line {}:\n{said}", playbook.line);
    }
    Ok(())
}

#[test]
fn every_command_in_it_exists() -> Result<(), Box<dyn Error>> {
    let readme = readme()?;
    let shown = readme.split('`').skip(1).step_by(2).chain(readme.lines().filter_map(|line| line.strip_prefix("$ ")));
    let commands: Vec<&str> = shown.filter_map(|text| text.strip_prefix("sprag ")?.split_whitespace().next()).collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let (exists, said) = sprag(&[command, "--help"])?;
        assert!(exists, "`sprag {command}`:\n{said}");
    }
    Ok(())
}

#[test]
fn its_exit_codes_are_those_of_the_help() -> Result<(), Box<dyn Error>> {
    let readme = readme()?;
    let (_, table) = readme.split_once("### Exit codes").ok_or("no table")?;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()?.parse::<u8>().ok());
    let (_, help) = sprag(&["--help"])?;
    let (_, codes) = help.split_once("Exit codes:").ok_or("no codes")?;
    let shown = codes.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u8>().ok());
    assert_eq!(rows.collect::<Vec<_>>(), shown.collect::<Vec<_>>());
    Ok(())
}

#[test]
fn its_files_and_commands_of_cargo_are_there() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = readme()?;
    assert!(readme.contains("cargo run --release --example demo") && readme.contains("cargo test --locked"));
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    for link in links.filter(|link| !link.starts_with("http")) {
        assert!(root.join(link).exists(), "{link}");
    }
    Ok(())
}
