//! Files and folders that are still there after a power failure.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::JournalError;

/// Writes `bytes` to `path` whole or not at all. The folder `temp_in`, on the same file system, holds
/// the file until it is complete. Who may read it is up to the umask.
pub(super) fn write_file(temp_in: &Path, path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".incomplete-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(temp_in)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(JournalError::io("write", path))?;
    sync_parent(path)
}

/// Creates a folder and those above it that are missing, each made durable in its parent.
pub(super) fn create_folders(path: &Path) -> Result<(), JournalError> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_folders(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(JournalError::io("create", path)(error)),
    }
}

/// Makes the names in a folder durable. File systems that cannot sync a folder say that the request
/// makes no sense, and are left to their own ways.
pub(super) fn sync_folder(path: &Path) -> Result<(), JournalError> {
    match File::open(path).and_then(|folder| folder.sync_all()) {
        Err(error) if !is_unsupported(&error) => Err(JournalError::io("sync", path)(error)),
        _ => Ok(()),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

/// Makes the name of `path` durable in the folder that holds it.
pub(super) fn sync_parent(path: &Path) -> Result<(), JournalError> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}
