//! # sprag: Kubernetes upgrade playbooks, checked, planned, carried out, resumed
//!
//! Text becomes a checked program, a program and a look at the cluster become a step graph, and one engine folds events
//! over that graph, writing each down before it acts. Every stage is a function from one named type to the next, and the
//! type says what is guaranteed.
//!
//! ```text
//!  text ─parse─▶ Ast ─check─▶ Program ─plan(facts)─▶ Graph ─engine─▶ Event* ─▶ journal, screen
//!                                                       ▲  │
//!                                     resume = fold the journal
//! ```
//!
//! ## Following one value from a playbook's text to a request on the wire
//!
//! `cordon(node)` in a rollout, in six files:
//!
//! 1. [`syntax`] (`syntax/parser/`) reads it as a [`syntax::ast::StatementKind::Call`] with one argument.
//! 2. [`check`] (`check/call.rs`) matches it to its signature in [`catalog::actions`] and types the argument:
//!    a [`check::program::Action`] whose [`expr::ir::Typed`] argument is a `node`.
//! 3. [`plan`] (`plan/expand.rs`) gives it an id and lowers the argument to [`plan::graph::Code`] that reads the slot of
//!    the rollout's element: a [`plan::graph::Action`] in the body of a [`plan::graph::Rollout`].
//! 4. [`engine`] (`engine/begin.rs`, `engine/step.rs`) looks at the rollout's list, gives an element its turn, evaluates the
//!    argument to an object, and appends the intent ([`engine::event::Event::StepStarted`]).
//! 5. [`actions`] (`actions/cordon.rs`, by the loop of `actions/node.rs`) makes a JSON patch of it that tests what it
//!    replaces.
//! 6. [`cluster`] (`cluster/requests.rs`) asks the fence whether this process may, and sends the PATCH, again where that is
//!    safe, until the step's deadline.
//!
//! ## The map, in the order in which data flows
//!
//! | module | does |
//! |---|---|
//! | [`source`], [`diagnostic`], [`digest`] | files, spans, places; mistakes as values; SHA-256 |
//! | [`syntax`] | text → Ast; `grammar/sprag.pest` is the only definition of the surface |
//! | [`catalog`] | what the language knows: types, facts and fields, functions, actions |
//! | [`check`] | Ast → Program: names, types, moments |
//! | [`expr`] | typed expression → Rhai → value; the only folder that knows rhai |
//! | [`plan`] | Program + facts + parameters → Graph |
//! | [`render`] | Graph → text, JSON |
//! | [`engine`] | Graph → events: the state as a fold, the one loop |
//! | [`journal`] | events → a file that survives `kill -9` |
//! | [`cluster`], [`facts`] | login, requests with one retry layer, the lock, snapshot; caches kept by watch |
//! | [`outside`] | the clock, processes and webhooks, as traits |
//! | [`actions`], [`why`] | what a step does to the world; why it is stuck |
//! | [`report`] | events → screens |
//! | [`cli`] | one file a command; the only place that prints or exits |
//!
//! ## Invariants, mostly absences
//!
//! - Syntax, check and plan never see the engine, the actions or kube's client; the engine never sees syntax or check.
//! - The checker never does I/O; `RunState::apply` has no clock and no I/O.
//! - Nothing is done to the cluster before its intent is durable; after a failed append nothing is done at all.
//! - Nothing asks the system for the time but `outside::SystemClock`.
//! - No gate is decided and no element begins on old news: what was read is read again first.
//! - There is no recovery code: a resume folds the journal and enters the same loop.
//!
//! ## Words
//!
//! A *step* has an id, an intent and an outcome; a *gate* is a `wait until` or an assertion; a *pre-image* is what a
//! mutation replaced; a *driver* is the process that holds the lock and appends; a *commit* is a point of no return.

pub mod actions;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod diagnostic;
pub mod digest;
pub mod engine;
pub mod expr;
pub mod facts;
pub mod journal;
pub mod outside;
pub mod plan;
pub mod rehearse;
pub mod render;
pub mod report;
pub mod source;
pub mod stdlib;
pub mod syntax;
pub mod why;
