//! What goes wrong between a client and the server, as a scenario says.

use http::Method;

/// Something that goes wrong for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From when on, Unix milliseconds.
    pub from: i64,
    /// Until when, Unix milliseconds; from then on nothing goes wrong any more.
    pub until: i64,
    /// Of which methods (`GET`, `PATCH`, …); all where none is said.
    pub methods: Vec<String>,
    /// What path or query has to hold, such as `pods/` or `watch=`; empty for all.
    pub path: String,
    /// Of those that fit, the first of so many; 0 and 1 stand for each.
    pub every: u32,
    /// What happens.
    pub what: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The server answers with this code (429, 409, 410, 500, 503, …) and does nothing.
    Answer(u16),
    /// The connection breaks before anything is done; an open watch breaks off.
    Reset,
    /// It is done, and the connection breaks before the answer has come; an open watch breaks off.
    Lose,
    /// No answer ever comes; an open watch says nothing any more, not even that it is over.
    Stall,
    /// The answer takes so many milliseconds more.
    Delay(u64),
    /// The version that a watch or a continued list begins from is too old (410).
    Expire,
}

/// The faults of a server, and how often each was met.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Fault, u32)>);

impl Faults {
    pub(super) fn set(&mut self, faults: Vec<Fault>) {
        self.0 = faults.into_iter().map(|fault| (fault, 0)).collect();
    }

    /// What goes wrong with a request now, or with what a watch is about to say: the first fault that fits and whose turn it is.
    pub(super) fn meet(&mut self, now: i64, method: &Method, path: &str) -> Option<FaultKind> {
        self.0.iter_mut().filter(|(fault, _)| fault.fits(now, method, path)).find_map(|(fault, count)| {
            let is_due = *count % fault.every.max(1) == 0;
            *count = count.wrapping_add(1);
            is_due.then_some(fault.what)
        })
    }
}

impl Fault {
    fn fits(&self, now: i64, method: &Method, path: &str) -> bool {
        let is_meant =
            self.methods.is_empty() || self.methods.iter().any(|one| one.eq_ignore_ascii_case(method.as_str()));
        (self.from..self.until).contains(&now)
            && is_meant
            && path.contains(&self.path)
            && (self.what != FaultKind::Expire || path.contains("watch=") || path.contains("continue="))
    }
}
