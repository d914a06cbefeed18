//! Who a process is: its number alone names another one after a while.

use std::fs;

/// This host's name, as journals and locks show it.
pub fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map_or_else(|| "this machine".to_owned(), |name| name.trim().to_owned())
}

/// The user of the operating system that this process belongs to, by name, or by number where it has none.
pub fn user_name() -> String {
    let id = nix::unistd::Uid::effective();
    let user = nix::unistd::User::from_uid(id).ok().flatten();
    user.map_or_else(|| format!("user {id}"), |user| user.name)
}

/// The host's boot and the start of process `pid` in it, as one text; `None` if there is no such process that runs.
#[cfg(target_os = "linux")]
pub(super) fn started(pid: i32) -> Option<String> {
    let stat = Stat::read(&pid.to_string())?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    stat.runs.then(|| format!("{} {}", boot.trim(), stat.start))
}

/// Whether a process of group `group` runs. Asked when its leader is gone: while any member lives, the kernel gives the
/// group's number to no other process.
#[cfg(target_os = "linux")]
pub(super) fn has_members(group: i32) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|name| Stat::read(&name))
        .any(|stat| stat.group == group && stat.runs)
}

/// Whether `started`, told by an earlier driver, was in this boot of the host.
#[cfg(target_os = "linux")]
pub(super) fn is_of_this_boot(started: &str) -> bool {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    !boot.trim().is_empty() && started.split(' ').next() == Some(boot.trim())
}

/// What `/proc/<pid>/stat` tells (proc_pid_stat(5)).
#[cfg(target_os = "linux")]
struct Stat {
    /// False for a zombie.
    runs: bool,
    group: i32,
    /// In ticks since the boot.
    start: u64,
}

#[cfg(target_os = "linux")]
impl Stat {
    fn read(pid: &str) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in brackets, which may hold blanks and brackets.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Self {
            runs: !matches!(*fields.first()?, "Z" | "X" | "x"),
            group: fields.get(2)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }
}

/// The start of process `pid`, which tells the boot as well; `None` if there is no such process.
#[cfg(not(target_os = "linux"))]
pub(super) fn started(pid: i32) -> Option<String> {
    let output = std::process::Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let start = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!start.is_empty()).then_some(start)
}

/// Whether a process of group `group` is there.
#[cfg(not(target_os = "linux"))]
pub(super) fn has_members(group: i32) -> bool {
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), None).is_ok()
}

/// Nothing but a process's start is known of the boot here.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_of_this_boot(_started: &str) -> bool {
    true
}
