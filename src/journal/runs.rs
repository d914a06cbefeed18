//! The folder of all runs, and the folder of one.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::durable;
use super::epoch;
use super::error::JournalError;
use super::lock::{self, Holder, Lock, LockState};
use super::read;
use super::record::Header;
use super::scan;
use super::sources;

/// More than any header, so that listing runs does not read whole journals.
const HEADER_BYTES: u64 = 64 * 1024;

/// The folder that holds a folder for each run, such as `.sprag/runs`. It need not exist yet.
#[derive(Debug, Clone)]
pub struct RunsDir {
    path: PathBuf,
}

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    id: String,
    path: PathBuf,
}

/// What can be said of a run without reading its records.
#[derive(Debug)]
pub struct RunSummaryRaw {
    /// Its folder.
    pub dir: RunDir,
    /// The first line of its journal, or why there is none.
    pub header: Result<Header, JournalError>,
    /// Whether somebody drives it now.
    pub lock: LockState,
    /// When a driver was last alive, unix milliseconds.
    pub alive_ms: Option<i64>,
    /// The latest epoch: 1, and one more for each takeover.
    pub epoch: u32,
}

impl RunsDir {
    /// The folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder of a new run of what has this `digest` (lower-case hex). The id is the
    /// digest's first four digits, `-`, and a number from 01; two processes never get the same.
    pub fn create(&self, digest: &str) -> Result<RunDir, JournalError> {
        durable::create_folders(&self.path)?;
        let prefix = digest.get(..4).unwrap_or(digest);
        let taken = self.ids()?;
        let last = taken.iter().filter(|id| id.prefix == prefix);
        let mut number = last.map(|id| id.number).max().unwrap_or(0);
        loop {
            number += 1;
            let dir = self.dir(format!("{prefix}-{number:02}"));
            match fs::create_dir(&dir.path) {
                Ok(()) => {
                    durable::sync_folder(&self.path)?;
                    return Ok(dir);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(JournalError::io("create", &dir.path)(error)),
            }
        }
    }

    /// The folder of the run `id`.
    pub fn open(&self, id: &str) -> Result<RunDir, JournalError> {
        let dir = self.dir(id.to_owned());
        if Id::parse(id).is_none() || !dir.path.is_dir() {
            return Err(JournalError::NoSuchRun { run: id.to_owned(), dir: self.path.clone() });
        }
        Ok(dir)
    }

    /// Every run, those that never began first, then by creation and id. Other files and folders are
    /// passed over, and a folder of runs that does not exist has none.
    pub fn list(&self) -> Result<Vec<RunSummaryRaw>, JournalError> {
        let mut runs = Vec::new();
        for id in self.ids()? {
            let run = self.dir(id.name.clone()).summary()?;
            let created = run.header.as_ref().ok().map(|header| header.created);
            runs.push((created, id, run));
        }
        runs.sort_by(|(at, id, _), (other_at, other_id, _)| (at, id).cmp(&(other_at, other_id)));
        Ok(runs.into_iter().map(|(_, _, run)| run).collect())
    }

    fn ids(&self) -> Result<Vec<Id>, JournalError> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(JournalError::io("read", &self.path)(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(JournalError::io("read", &self.path))?;
            if let Some(id) = entry.file_name().to_str().and_then(Id::parse) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    fn dir(&self, id: String) -> RunDir {
        let path = self.path.join(&id);
        RunDir { id, path }
    }
}

/// A run's id in its parts; ordered by them.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    prefix: String,
    number: u64,
    name: String,
}

impl Id {
    fn parse(name: &str) -> Option<Self> {
        let (prefix, digits) = name.split_once('-')?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_prefix = prefix.len() == 4 && prefix.bytes().all(is_hex);
        let is_number = digits.len() >= 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_prefix || !is_number {
            return None;
        }
        Some(Self { prefix: prefix.to_owned(), number: digits.parse().ok()?, name: name.to_owned() })
    }
}

impl RunDir {
    /// The run's id, such as `7c1f-03`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where the folder lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stores what the run carries out: the graph's JSON and the text of every source, by name. To be
    /// called before the journal is created, so that a run that began has them.
    pub fn write_plan<'a>(
        &self,
        graph_json: &[u8],
        sources: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), JournalError> {
        let folder = self.sources_path();
        durable::create_folders(&folder)?;
        for (name, text) in sources {
            let path = folder.join(sources::path_of(name));
            if let Some(parent) = path.parent() {
                durable::create_folders(parent)?;
            }
            durable::write_file(&self.path, &path, text.as_bytes())?;
        }
        let path = self.graph_path();
        let packed = compress(graph_json).map_err(JournalError::io("write", &path))?;
        durable::write_file(&self.path, &path, &packed)
    }

    /// The graph's JSON as it was stored.
    pub fn read_graph(&self) -> Result<Vec<u8>, JournalError> {
        let path = self.graph_path();
        let packed = fs::read(&path).map_err(JournalError::io("read", &path))?;
        let mut json = Vec::new();
        match GzDecoder::new(packed.as_slice()).read_to_end(&mut json) {
            Ok(_) => Ok(json),
            Err(source) => Err(JournalError::PlanDamaged { path, source }),
        }
    }

    /// Name and text of every stored source, by name.
    pub fn read_sources(&self) -> Result<Vec<(String, String)>, JournalError> {
        let mut found = Vec::new();
        let folder = self.sources_path();
        collect_sources(&folder, &folder, &mut found)?;
        found.sort();
        Ok(found)
    }

    /// Notes that the driver of an epoch was alive at `now_ms` (unix milliseconds); not synced. The file is
    /// written over in place, so that a crash between two writes does not leave it empty.
    pub(super) fn touch_alive(&self, epoch: u32, now_ms: i64) -> Result<(), JournalError> {
        let path = self.alive_path(epoch);
        let text = format!("{now_ms}\n");
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(false).open(&path)?;
            file.write_all(text.as_bytes())?;
            file.set_len(text.len() as u64)
        };
        write().map_err(JournalError::io("write", &path))
    }

    /// When a driver of the latest epoch was last alive, unix milliseconds; `None` when that was never noted.
    /// A driver that was taken over tells nothing by its life.
    pub fn alive_ms(&self) -> Option<i64> {
        self.alive_ms_in(self.latest_epoch().ok()?)
    }

    /// When a driver of that epoch was last alive.
    pub(super) fn alive_ms_in(&self, epoch: u32) -> Option<i64> {
        let text = fs::read_to_string(self.alive_path(epoch)).ok()?;
        text.trim().parse().ok()
    }

    /// Whether somebody drives the run now. Who was taken over does not, though it may hold its epoch's lock.
    pub fn lock_state(&self) -> Result<LockState, JournalError> {
        let epoch = self.latest_epoch()?;
        lock::look(&self.lock_path(epoch), &self.alive_path(epoch))
    }

    /// Takes the lock of an epoch, and tells who had it before.
    pub(super) fn lock(&self, epoch: u32, holder: &Holder) -> Result<(Lock, Vec<Holder>), JournalError> {
        Lock::acquire(&self.lock_path(epoch), &self.alive_path(epoch), &self.id, holder)
    }

    /// Who holds the lock of an epoch, or held it last, when its text tells.
    pub(super) fn holder_of(&self, epoch: u32) -> Option<Holder> {
        lock::read_holder(&self.lock_path(epoch))
    }

    /// The latest epoch, begun or only claimed.
    pub(super) fn latest_epoch(&self) -> Result<u32, JournalError> {
        epoch::latest_in(&self.path)
    }

    fn summary(self) -> Result<RunSummaryRaw, JournalError> {
        Ok(RunSummaryRaw {
            header: self.read_header(),
            lock: self.lock_state()?,
            alive_ms: self.alive_ms(),
            epoch: self.latest_epoch()?,
            dir: self,
        })
    }

    fn read_header(&self) -> Result<Header, JournalError> {
        let path = self.epoch_path(epoch::FIRST);
        let mut bytes = Vec::new();
        read::open_to_read(self, epoch::FIRST)?
            .take(HEADER_BYTES)
            .read_to_end(&mut bytes)
            .map_err(JournalError::io("read", &path))?;
        scan::scan_header(&bytes, &path, &self.id)
    }

    /// The file of an epoch.
    pub(super) fn epoch_path(&self, epoch: u32) -> PathBuf {
        self.path.join(epoch::name_of(epoch))
    }

    /// The lock's file of an epoch.
    pub(super) fn lock_path(&self, epoch: u32) -> PathBuf {
        self.path.join(format!("{}.lock", epoch::name_of(epoch)))
    }

    /// The heartbeat's file of an epoch.
    fn alive_path(&self, epoch: u32) -> PathBuf {
        self.path.join(match epoch {
            epoch::FIRST => "alive".to_owned(),
            later => format!("alive.{later}"),
        })
    }

    fn graph_path(&self) -> PathBuf {
        self.path.join("graph.json.gz")
    }

    fn sources_path(&self) -> PathBuf {
        self.path.join("sources")
    }
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes)?;
    packed.finish()
}

fn collect_sources(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) -> Result<(), JournalError> {
    let entries = fs::read_dir(folder).map_err(JournalError::io("read", folder))?;
    for entry in entries {
        let path = entry.map_err(JournalError::io("read", folder))?.path();
        if path.is_dir() {
            collect_sources(root, &path, found)?;
            continue;
        }
        let name = path.strip_prefix(root).ok().and_then(sources::name_of);
        if let Some(name) = name {
            found.push((name, read_text(&path)?));
        }
    }
    Ok(())
}

fn read_text(path: &Path) -> Result<String, JournalError> {
    fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => JournalError::PlanDamaged { path: path.to_path_buf(), source },
        _ => JournalError::io("read", path)(source),
    })
}
