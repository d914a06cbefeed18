//! The lab that all trials of a run share, started by the first of them.

use super::{Error, Lab, binaries};
use libtest_mimic::{Completion, Failed, Trial};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A lab that is started when the first trial runs, so that listing trials starts and builds nothing.
#[derive(Default)]
pub struct Bed {
    start: Mutex<Option<Start>>,
    times: Mutex<Vec<(Duration, String)>>,
}

/// What came of starting the lab.
#[derive(Clone)]
enum Start {
    Up(Arc<Lab>),
    /// A tool is missing: the trials are left out.
    Missing(String),
    /// It should have started: the trials fail.
    Failed(String),
}

impl Bed {
    /// One for a run of trials.
    pub fn new() -> Arc<Bed> {
        Arc::default()
    }

    /// A trial that is handed the lab.
    ///
    /// Where the lab cannot be started for want of a tool, the trial is left out and says why; with `CI=true` it fails.
    pub fn trial<F>(self: &Arc<Self>, name: &str, body: F) -> Trial
    where
        F: FnOnce(&Arc<Lab>) -> Result<(), Failed> + Send + 'static,
    {
        let (bed, label) = (Arc::clone(self), name.to_owned());
        Trial::ignorable_test(name, move || match bed.lab() {
            Start::Up(lab) => bed.timed(label, || body(&lab)).map(|()| Completion::Completed),
            Start::Missing(why) if std::env::var("CI").is_ok_and(|ci| ci == "true") => Err(why.into()),
            Start::Missing(why) => Ok(Completion::ignored_with(why)),
            Start::Failed(why) => Err(why.into()),
        })
    }

    /// Starts the lab, if this is the first to ask; the others wait for it here.
    fn lab(&self) -> Start {
        let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        start.get_or_insert_with(start_lab).clone()
    }

    fn timed(&self, name: String, body: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
        let begun = Instant::now();
        let outcome = body();
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.push((begun.elapsed(), name));
        outcome
    }

    /// The trials that took longest, the longest first, at most ten.
    pub fn slowest(&self) -> Vec<(Duration, String)> {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner).clone();
        times.sort_by(|a, b| b.cmp(a));
        times.truncate(10);
        times
    }

    /// Ends the lab, if it was started; to be called when no trial runs any more.
    pub fn stop(&self) {
        *self.start.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Builds also what only a trial with a lab of its own uses: beside trials that run, a build would take their time.
fn build_and_start() -> super::Result<Arc<Lab>> {
    binaries::find_or_build()?.with_apiserver_1_36()?;
    Lab::start()
}

fn start_lab() -> Start {
    let begun = Instant::now();
    match build_and_start() {
        Ok(lab) => {
            eprintln!("testbed: up after {:.1} s in {}", begun.elapsed().as_secs_f64(), lab.folder().display());
            Start::Up(lab)
        }
        Err(Error::Missing(why)) => Start::Missing(why),
        Err(error) => Start::Failed(error.to_string()),
    }
}
