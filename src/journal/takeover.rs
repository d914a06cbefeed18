//! The takeover of a run: the claim of the next epoch, then its header.
//!
//! The claim is the empty file. It comes first, so that nothing that counts is appended to the earlier files after they
//! were read. If its process dies before the header is written, the claim stands, and whoever opens the run next
//! writes the header.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::durable;
use super::epoch::{self, Takeover};
use super::error::JournalError;
use super::file::{self, Journal, Opened};
use super::lock::{Holder, Lock};
use super::read::{self, Folded, TornTail};
use super::record::Payload;
use super::runs::RunDir;

impl Journal {
    /// Takes a run over from a driver that may hang and still hold the lock of its epoch: begins the next
    /// epoch, from which on that driver can append nothing. Whether it is allowed to is not known here: only
    /// whoever holds the cluster's lock may ask for it. A damaged journal is refused and not touched.
    ///
    /// # Errors
    /// Of two at once, one gets [`JournalError::LockHeld`] or [`JournalError::Superseded`].
    pub fn take_over<E: Payload>(dir: &RunDir, holder: &Holder) -> Result<Opened<E>, JournalError> {
        let epoch = file::good(dir, read::fold::<E>(dir)?)?.claimed + 1;
        let lock = dir.lock(epoch, holder)?;
        let path = dir.epoch_path(epoch);
        match file::create_new(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(file::superseded(dir, epoch - 1)),
            Err(error) => return Err(JournalError::io("create", &path)(error)),
        }
        // Nothing that is answered with records comes to the earlier files any more.
        let folded = file::good(dir, read::fold(dir)?)?;
        begin_epoch(dir, epoch, folded, holder, lock)
    }
}

/// Writes the header of an epoch that this process has claimed or, after the death of who claimed it, locked.
pub(super) fn begin_epoch<E: Payload>(
    dir: &RunDir,
    epoch: u32,
    folded: Folded<E>,
    holder: &Holder,
    (lock, previous): (Lock, Vec<Holder>),
) -> Result<Opened<E>, JournalError> {
    // It was read, and is gone on with: it has to be durable, though whoever wrote it may not have come to that.
    let before = &folded.last.path;
    File::open(before).and_then(|file| file.sync_all()).map_err(JournalError::io("sync", before))?;
    let takeover = Takeover {
        epoch,
        follows: epoch::name_of(folded.last.epoch),
        seq: folded.chain.last_seq,
        hash: folded.chain.head.clone(),
        by: holder.clone(),
        replaced: dir.holder_of(epoch - 1),
        last_seen: file::last_seen(dir, &folded),
    };
    let header = folded.header.of_epoch(takeover.clone());
    let path = dir.epoch_path(epoch);
    let (line, chain) = folded.chain.go_on(&header).map_err(JournalError::io("write", &path))?;
    let repaired = save_unbegun(&path)?;
    let file = write_header(&path, &line).map_err(JournalError::io("write", &path))?;
    durable::sync_parent(&path)?;
    let journal = Journal::at(dir, epoch, file, file::next_driver(chain), lock);
    // Who hung between the claim and this may have been taken over as well.
    journal.guard.check()?;
    Ok(Opened {
        journal,
        header: folded.header,
        records: folded.records,
        repaired,
        last_seen_ms: takeover.last_seen,
        takeover: Some(takeover),
        previous,
    })
}

/// Keeps a copy of what a crash left of a header.
fn save_unbegun(path: &Path) -> Result<Option<TornTail>, JournalError> {
    let bytes = fs::read(path).map_err(JournalError::io("read", path))?;
    let mut torn = read::torn_tail(&bytes, 0);
    if let Some(torn) = &mut torn {
        torn.saved_as = Some(file::save_torn(path, &bytes, 0)?);
    }
    Ok(torn)
}

fn write_header(path: &Path, line: &[u8]) -> io::Result<File> {
    let mut file = file::open_at_end(path)?;
    file.set_len(0)?;
    file.write_all(line)?;
    file.sync_all()?;
    Ok(file)
}
