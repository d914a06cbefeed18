//! A live terminal: what is over scrolls by, what is on stays at the bottom, one line a step.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::event::Event;
use crate::engine::observe::{Observer, PodsGone};
use crate::engine::state::RunState;
use crate::journal::Record;

use super::words::{clock, line, main_rollout, progress_of};

/// Draws on stderr.
pub struct Terminal {
    bars: MultiProgress,
    head: ProgressBar,
    steps: BTreeMap<String, ProgressBar>,
    now: i64,
}

impl Terminal {
    /// A terminal for a run of that title.
    pub fn new(title: &str, now: i64) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let head = bars.add(ProgressBar::new(1));
        let style = ProgressStyle::with_template("{prefix}   {bar:20.cyan/blue}  {msg}   {elapsed}");
        head.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("██░"));
        head.set_prefix(title.to_owned());
        Self { bars, head, steps: BTreeMap::new(), now }
    }

    fn step(&mut self, step: &str) -> &ProgressBar {
        self.steps.entry(step.to_owned()).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("  {spinner} {prefix}  {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(step.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        })
    }

    fn say(&self, text: &str) {
        let _ = self.bars.println(format!("{}  {text}", clock(self.now)));
    }
}

impl Observer for Terminal {
    fn event(&mut self, record: &Record<Event>, state: &RunState) {
        self.now = record.at;
        match &record.event {
            Event::StepStarted { step, .. } => {
                self.step(step).set_message("");
            }
            Event::StepEnded { step, .. } => {
                if let Some(bar) = self.steps.remove(step) {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                }
            }
            _ => {}
        }
        if let Some(text) = line(&record.event, state) {
            self.say(&text);
        }
        if let Some((_, rollout)) = main_rollout(state) {
            self.head.set_length(rollout.elements.len() as u64);
            self.head.set_position(rollout.finished() as u64);
            self.head.set_message(progress_of(state).unwrap_or_default());
        }
        if matches!(record.event, Event::RunHalted { .. } | Event::RunEnded { .. }) {
            let _ = self.bars.clear();
        }
    }

    fn waiting(&mut self, step: &str, lines: &[String]) {
        let text = lines.first().cloned().unwrap_or_default();
        self.step(step).set_message(text);
    }

    fn output(&mut self, step: &str, text: &str) {
        self.say(&format!("{step}  | {text}"));
    }

    fn counted(&mut self, step: &str, pods: PodsGone) {
        self.step(step).set_prefix(format!("{step}  {pods}"));
    }

    fn remark(&mut self, text: &str) {
        self.say(text);
    }

    fn tick(&mut self, now: i64, _state: &RunState) {
        self.now = now;
        self.head.tick();
    }
}
