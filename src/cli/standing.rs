//! What the folder of runs knows of the runs whose marks stand on nodes.

use crate::actions::ownership::{KnownRuns, Standing, run_key};
use crate::engine::event::Event;
use crate::journal::{JournalError, LockState, RunsDir, salvage};

/// The runs of a folder.
pub(super) struct RunsHere(pub(super) RunsDir);

impl KnownRuns for RunsHere {
    fn standing(&self, run: &str, key: &str) -> Standing {
        let dir = match self.0.open(run) {
            Ok(dir) => dir,
            Err(JournalError::NoSuchRun { .. }) => return Standing::Unknown,
            Err(_) => return Standing::Open,
        };
        // A folder whose journal cannot be read is somebody's: nothing is taken from it.
        let Ok(salvaged) = salvage::<Event>(&dir) else { return Standing::Open };
        let (mut is_meant, mut has_ended) = (true, false);
        for record in &salvaged.read.records {
            match &record.event {
                Event::RunStarted { seed, .. } => is_meant = key.is_empty() || run_key(*seed) == key,
                Event::RunEnded { .. } => has_ended = true,
                _ => {}
            }
        }
        match dir.lock_state() {
            _ if !is_meant => Standing::Unknown,
            _ if has_ended => Standing::Ended,
            Ok(LockState::Held(_)) => Standing::Driven,
            Ok(LockState::Free) | Err(_) => Standing::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::event::RunOutcome;
    use crate::journal::{Header, Holder, Journal};

    #[test]
    fn a_run_stands_as_its_journal_and_its_lock_say() {
        let folder = tempfile::TempDir::new().unwrap();
        let runs = RunsDir::new(folder.path());
        let dir = runs.create("7c1f").unwrap();
        let here = RunsHere(runs);
        let standing = |key: &str| here.standing(dir.id(), key);
        assert_eq!(standing(""), Standing::Open, "it never began, and is somebody's");
        let header = Header::new(dir.id(), "7c1f", "c", 1);
        let mut journal = Journal::create(&dir, &header, &Holder::this_process(1)).unwrap();
        let began = Event::RunStarted { digest: "7c1f".to_owned(), seed: 7, whole: BTreeMap::new() };
        journal.append(vec![began], 1).unwrap();
        assert_eq!(standing(&run_key(7)), Standing::Driven);
        assert_eq!(standing(&run_key(8)), Standing::Unknown, "a run of another folder");
        drop(journal);
        assert_eq!(standing(&run_key(7)), Standing::Open);
        let mut journal = Journal::open_append::<Event>(&dir, &Holder::this_process(1)).unwrap().journal;
        journal.append(vec![Event::RunEnded { outcome: RunOutcome::Done }], 2).unwrap();
        assert_eq!(standing(&run_key(7)), Standing::Ended);
        assert_eq!(standing(&run_key(8)), Standing::Unknown);
        assert_eq!(here.standing("7c1f-99", ""), Standing::Unknown);
    }
}
