//! People: what they are asked, and what they say from another terminal while a run goes on or stands still.
//!
//! Who drives a run appends what people say; of a run that nobody drives it is appended directly, as a decision is. What
//! can be said is asked of the state, so that both ways refuse the same.

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::actions::{Args, Stop};
use crate::catalog::value::{Value, format_duration};
use crate::plan::graph::{Code, NodeKind};

use super::driver::{DriveError, Driver};
use super::event::{Event, Failure, HaltReason, Id};
use super::gate::{LiveGate, Purpose, failed};
use super::locate::{Located, locate};
use super::next::Status;
use super::state::{IllegalEvent, Phase, RunState, StepState, StepStatus};

/// Arguments under which the intent of an `approve` keeps what is asked, and of whom.
const QUESTION: &str = "question";
const BY: &str = "by";

/// Who said something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The user of the operating system.
    pub user: String,
    /// The machine.
    pub host: String,
    /// Whom the cluster takes that person for; none where it was not asked or does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
}

/// An authenticated user (authentication.k8s.io/v1, SelfSubjectReview).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The user's name.
    pub name: String,
    /// The groups that the user is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on `{}`", self.user, self.host)?;
        match &self.login {
            Some(login) if login.name != self.user => write!(f, " (`{}`)", login.name),
            _ => Ok(()),
        }
    }
}

/// What a person says about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What.
    #[serde(flatten)]
    pub word: Word,
    /// Who.
    pub by: Person,
}

/// What can be said about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Word {
    /// Yes to what a step asks.
    Approve {
        /// Which step.
        step: Id,
    },
    /// That the run is given up.
    Abort {
        /// Whether what it did is undone first.
        rollback: bool,
    },
}

impl Message {
    /// The event that notes it.
    pub fn event(&self) -> Event {
        let by = self.by.clone();
        match &self.word {
            Word::Approve { step } => Event::Approved { step: step.clone(), by },
            Word::Abort { rollback } => Event::AbortRequested { by, rollback: *rollback },
        }
    }
}

/// A message on its way to the driver, which answers once it is durable, or why it is refused.
#[derive(Debug)]
pub struct Letter {
    /// What is said.
    pub message: Message,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<(), String>>,
}

/// That a person gave a run up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    /// Who.
    pub by: Person,
    /// Whether what the run did is to be undone first.
    pub rollback: bool,
}

/// A question that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The step that asks.
    pub step: Id,
    /// What it asks.
    pub text: String,
    /// The group whose people may answer.
    pub by: Option<String>,
    /// Until when, Unix milliseconds.
    pub deadline: Option<i64>,
}

impl RunState {
    /// The questions that wait for an answer, in order of their steps' ids.
    pub fn questions(&self) -> Vec<Question> {
        let running = self.steps.iter().filter(|(_, step)| step.status == StepStatus::Running);
        running.filter_map(|(id, step)| self.question(id, step)).collect()
    }

    fn question(&self, id: &Id, step: &StepState) -> Option<Question> {
        let located = locate(&self.graph, id)?;
        let NodeKind::Approve { question, .. } = &located.node.kind else { return None };
        let text = text_of(step, QUESTION).unwrap_or_else(|| question.text.clone());
        Some(Question { step: id.clone(), text, by: text_of(step, BY), deadline: step.deadline })
    }

    /// Whether a person can say that now (Unix milliseconds).
    ///
    /// # Errors
    /// Why not, on one line.
    pub fn can_be_said(&self, message: &Message, now: i64) -> Result<(), String> {
        if let Phase::New | Phase::Ended(_) = self.phase {
            return Err(format!("the run is {}", self.phase.word()));
        }
        match &message.word {
            Word::Approve { step } => self.can_be_approved(step, &message.by, now),
            Word::Abort { .. } => match &self.abort {
                Some(abort) => Err(format!("the run was given up by {} already", abort.by)),
                None => Ok(()),
            },
        }
    }

    /// Whether a run that was given up has nothing left to do: no `finally` to run, nothing to undo, nothing under way of
    /// which a driver has to see the end.
    pub fn ends_without_driver(&self) -> bool {
        let is_given_up = self.abort.as_ref().is_some_and(|abort| !abort.rollback);
        let is_under_way = |id: &Id, step: &StepState| {
            let is_running = matches!(step.status, StepStatus::Running);
            let is_action = |located: Located<'_>| matches!(located.node.kind, NodeKind::Action(_));
            is_running && locate(&self.graph, id).is_some_and(is_action)
        };
        is_given_up
            && !self.steps.iter().any(|(id, step)| is_under_way(id, step))
            && self.next_of_abandoned_by_nobody() != Status::Active
    }

    fn can_be_approved(&self, id: &Id, by: &Person, now: i64) -> Result<(), String> {
        let is_approve = |located: &Located<'_>| matches!(located.node.kind, NodeKind::Approve { .. });
        if locate(&self.graph, id).filter(is_approve).is_none() {
            return Err(format!("`{id}` asks nobody anything"));
        }
        let Some(step) = self.steps.get(id) else { return Err(format!("`{id}` has not asked yet")) };
        match &step.status {
            StepStatus::Running => {}
            StepStatus::Done => {
                return Err(format!("`{id}` has its answer: {}", step.note.as_deref().unwrap_or("yes")));
            }
            other => return Err(format!("`{id}` does not ask now: it is {}", other.word())),
        }
        if step.deadline.is_some_and(|deadline| now > deadline) {
            return Err(format!("the time in which `{id}` could be answered is over"));
        }
        match (text_of(step, BY), &by.login) {
            (Some(group), Some(login)) if !login.groups.contains(&group) => {
                Err(format!("`{}` is not in the group `{group}`, whose people may answer `{id}`", login.name))
            }
            _ => Ok(()),
        }
    }

    /// The step that asked is done; the note says who said yes.
    pub(super) fn approved(&mut self, at: i64, id: &Id, by: &Person) -> Result<(), IllegalEvent> {
        self.can_be_approved(id, by, at).map_err(IllegalEvent)?;
        let Some(step) = self.steps.get_mut(id) else { return Err(IllegalEvent(format!("`{id}` was not asked"))) };
        let unchecked = match (text_of(step, BY), &by.login) {
            (Some(group), None) => format!("; the cluster did not tell whether that is one of `{group}`"),
            _ => String::new(),
        };
        step.note = Some(format!("yes, says {by}{unchecked}"));
        step.status = StepStatus::Done;
        step.ended = Some(at);
        Ok(())
    }

    pub(super) fn abort_requested(&mut self, by: &Person, rollback: bool) -> Result<(), IllegalEvent> {
        if self.abort.is_some() {
            return Err(IllegalEvent("the run was given up before".to_owned()));
        }
        self.abort = Some(Abort { by: by.clone(), rollback });
        Ok(())
    }
}

fn text_of(step: &StepState, arg: &str) -> Option<String> {
    match step.args.get(arg) {
        Some(Value::String(text)) => Some(text.to_string()),
        _ => None,
    }
}

impl Driver<'_> {
    /// Asks a person.
    pub(super) async fn begin_approve(
        &mut self,
        id: &Id,
        located: &Located<'_>,
        (question, within, by): (&Code, Option<&Code>, Option<&Code>),
    ) -> Result<(), DriveError> {
        let mut args = Args::new();
        // What it shows may be unknown just now; the question as it is written says enough.
        let text = self.evaluate(located, question).map_or_else(|_| question.text.clone(), |text| text.to_string());
        args.insert(QUESTION.to_owned(), Value::string(text));
        if let Some(by) = by {
            match self.evaluate(located, by) {
                Ok(Value::String(group)) if !group.trim().is_empty() => {
                    args.insert(BY.to_owned(), Value::String(group));
                }
                other => {
                    let what = other.map_or_else(|error| error.to_string(), |value| format!("it is `{value}`"));
                    let failure = Failure::new("E503", format!("`{}` names no group", by.text)).detail(what);
                    return self.begin_and_end(id, args, failed(failure)).await;
                }
            }
        }
        match self.duration(located, within) {
            Ok(within) => {
                let deadline = within.map(|ms| self.now() + ms);
                self.emit(vec![self.intent(id, deadline, args, None)]).await?;
                self.take_up_gate(id).await
            }
            Err(failure) => self.begin_and_end(id, args, failed(failure)).await,
        }
    }

    /// The gate of a question, which is shown with how to answer it.
    pub(super) fn ask_person(&mut self, id: &Id) -> LiveGate {
        let question = self.state.steps.get(id).and_then(|step| self.state.question(id, step));
        let (text, by, deadline) = match question {
            Some(question) => (question.text, question.by, question.deadline),
            None => (id.clone(), None, None),
        };
        let whom = by.map(|by| format!(", someone of `{by}`")).unwrap_or_default();
        let until = deadline.map(|deadline| format!(" within {}", format_duration((deadline - self.now()).max(0))));
        let until = until.unwrap_or_default();
        self.observer.remark(&format!("{id}  asks a person{whom}{until}: {text}"));
        self.observer.remark(&format!("{id}  say yes with   sprag approve {} {id}", self.run.id));
        LiveGate::new(Purpose::Person, text, deadline)
    }

    /// Takes in what a person said.
    pub(super) async fn on_letter(&mut self, letter: Letter) -> Result<(), DriveError> {
        let Letter { message, answer } = letter;
        if let Err(why) = self.state.can_be_said(&message, self.now()) {
            self.observer.remark(&format!("refused what {} says: {why}", message.by));
            // Whoever asked may have gone.
            let _ = answer.send(Err(why));
            return Ok(());
        }
        self.emit(vec![message.event()]).await?;
        let _ = answer.send(Ok(()));
        match message.word {
            Word::Approve { step } => {
                self.gates.remove(&step);
                Ok(())
            }
            Word::Abort { .. } => self.stop_for_abort().await,
        }
    }

    /// A run that was given up stops first, as at a signal.
    pub(super) async fn stop_for_abort(&mut self) -> Result<(), DriveError> {
        self.ask_to_stop(Stop::Stop);
        self.end_gates().await
    }

    /// Once a run that was given up has stopped, what is left to run of it may run. Says whether it was that moment.
    pub(super) fn goes_on_aborting(&mut self) -> bool {
        let is_quiet = self.tasks.is_empty() && self.gates.is_empty() && self.halting.is_none();
        let is_stopped = self.state.abort.is_some() && is_quiet && *self.stop.borrow() == Stop::Stop;
        if is_stopped {
            self.stop.send_replace(Stop::No);
        }
        is_stopped
    }

    /// Whether nothing but answers of people is awaited.
    pub(super) fn waits_for_people_alone(&self) -> bool {
        self.gates.values().all(|gate| *gate.purpose() == Purpose::Person)
    }

    /// A run that waits for people alone asks; any other that is left alone is parked.
    pub(super) fn park_reason(&self, until: Option<i64>) -> HaltReason {
        if self.waits_for_people_alone() { HaltReason::Asks } else { HaltReason::Parked { until } }
    }
}
