//! The built-in actions: signature, doc, rights, how each resumes, what undoes it, how it may be interrupted.

use super::types::{Kind, Type};

/// What undo can do about an action (LANGUAGE.md section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// What was is put back, if the value is still ours.
    Reversible,
    /// Nothing is left to undo.
    Neutral,
    /// A point of no return, unless it has an `undo { … }`.
    CommitUnlessUndo,
    /// A point of no return.
    Commit,
}

/// What a resume does about a step that was begun and not noted as ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// It is done again.
    Idempotent,
    /// What it started is found by its name and joined.
    Adopted,
    /// A person decides, unless `done when` or `retry` says enough.
    Asks,
}

/// How a stop treats a step under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// It ends at once.
    AtOnce,
    /// It posts no further eviction and ends.
    NoFurtherEviction,
    /// It is awaited to its end or its timeout.
    Never,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy)]
pub enum ParamType {
    /// A value of that type.
    Value(fn() -> Type),
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// One of these texts, or a closure over the pod to bool.
    ChoiceOrClosure(&'static [&'static str]),
    /// A closure over the pod: to bool (`only`) or to anything ordered (`order`).
    Closure,
    /// A list of texts, or a text written at this place (`exec`'s command).
    Command,
    /// An object of any kind.
    Object,
}

/// A parameter of an action.
#[derive(Debug, Clone, Copy)]
pub struct ParamDecl {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub ty: ParamType,
    /// Must be given; else its default as it would be written, empty for "nothing".
    pub default: Option<&'static str>,
    /// Whether it may be given without its name: only leading ones.
    pub positional: bool,
    /// Whether it may hold a secret.
    pub secret: bool,
}

/// A rule that a role needs: API group, resource, verbs.
pub type Rule = (&'static str, &'static str, &'static [&'static str]);

/// One action.
pub struct ActionDecl {
    /// Its name.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Its parameters, in order; `timeout` is the last of those that have one.
    pub params: &'static [ParamDecl],
    /// The result that `record` takes.
    pub result: Option<Kind>,
    /// What undo can do about it.
    pub class: Class,
    /// What a resume does about it.
    pub resume: Resume,
    /// How it may be interrupted.
    pub interrupt: Interrupt,
    /// What a role needs.
    pub rules: &'static [Rule],
    /// What a role may lack: the action is carried out all the same, and knows less.
    pub optional: &'static [Rule],
    /// How long it mostly takes, in milliseconds, for estimates.
    pub estimate: i64,
    /// Whether it is left to a later version: it is checked, and a run that needs it is refused.
    pub later: bool,
}

const fn required(name: &'static str, ty: fn() -> Type) -> ParamDecl {
    ParamDecl { name, ty: ParamType::Value(ty), default: None, positional: true, secret: false }
}

const fn named(name: &'static str, ty: fn() -> Type, default: &'static str) -> ParamDecl {
    ParamDecl { name, ty: ParamType::Value(ty), default: Some(default), positional: false, secret: false }
}

const fn choice(name: &'static str, choices: &'static [&'static str], default: &'static str) -> ParamDecl {
    ParamDecl { name, ty: ParamType::Choice(choices), default: Some(default), positional: false, secret: false }
}

const fn secret(mut decl: ParamDecl) -> ParamDecl {
    decl.secret = true;
    decl
}

const fn of_type(mut decl: ParamDecl, ty: ParamType) -> ParamDecl {
    decl.ty = ty;
    decl
}

const fn timeout(default: &'static str) -> ParamDecl {
    named("timeout", || Type::Duration, default)
}

const fn node() -> ParamDecl {
    required("node", || Type::Object(Kind::Node))
}

fn string() -> Type {
    Type::String
}
fn texts() -> Type {
    Type::list(Type::String)
}
fn ints() -> Type {
    Type::list(Type::Int)
}

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const PATCH_NODE: &[Rule] = &[("", "nodes", &["get", "patch"])];
const BASE: ActionDecl = ActionDecl {
    name: "",
    doc: "",
    params: &[],
    result: None,
    class: Class::Reversible,
    resume: Resume::Idempotent,
    interrupt: Interrupt::AtOnce,
    rules: PATCH_NODE,
    optional: &[],
    estimate: 1_000,
    later: false,
};

/// Every action.
pub const ACTIONS: &[ActionDecl] = &[
    ActionDecl {
        name: "cordon",
        doc: "closes a node to new pods and leaves the mark of this run on it",
        params: &[node(), timeout("10m")],
        ..BASE
    },
    ActionDecl {
        name: "uncordon",
        doc: "opens a node that bears this run's mark; a node cordoned by anyone else stays cordoned",
        params: &[node(), timeout("10m")],
        class: Class::Neutral,
        ..BASE
    },
    ActionDecl {
        name: "drain",
        doc: "evicts a cordoned node's pods through the Eviction API and waits until they are gone",
        params: &[
            node(),
            named("grace", || Type::Duration.optional(), ""),
            of_type(
                choice("emptydir", &["refuse", "delete"], "refuse"),
                ParamType::ChoiceOrClosure(&["refuse", "delete"]),
            ),
            choice("orphans", &["refuse", "delete"], "refuse"),
            choice("jobs", &["evict", "finish"], "evict"),
            choice("unbudgeted", &["stagger", "together"], "stagger"),
            of_type(named("order", string, ""), ParamType::Closure),
            of_type(named("only", string, ""), ParamType::Closure),
            timeout("30m"),
        ],
        class: Class::Neutral,
        interrupt: Interrupt::NoFurtherEviction,
        rules: &[("", "pods", &["get", "list"]), ("", "pods/eviction", &["create"]), ("", "nodes", &["get"])],
        // Whether a budget that allows nothing may yet do so, and whether volumes are detached.
        optional: &[
            ("autoscaling", "horizontalpodautoscalers", &["list", "watch"]),
            ("storage.k8s.io", "volumeattachments", &["list", "watch"]),
        ],
        estimate: 120_000,
        ..BASE
    },
    ActionDecl {
        name: "label",
        doc: "sets a node's label; none removes it",
        params: &[node(), required("key", string), required("value", || Type::String.optional()), timeout("10m")],
        ..BASE
    },
    ActionDecl {
        name: "annotate",
        doc: "sets a node's annotation; none removes it",
        params: &[node(), required("key", string), required("value", || Type::String.optional()), timeout("10m")],
        ..BASE
    },
    ActionDecl {
        name: "taint",
        doc: "sets a node's taint of that key and effect",
        params: &[
            node(),
            required("key", string),
            named("value", string, "\"\""),
            choice("effect", EFFECTS, "NoSchedule"),
            timeout("10m"),
        ],
        ..BASE
    },
    ActionDecl {
        name: "untaint",
        doc: "removes a node's taints of that key, of every effect where none is said",
        params: &[
            node(),
            required("key", string),
            of_type(named("effect", string, ""), ParamType::Choice(EFFECTS)),
            timeout("10m"),
        ],
        class: Class::Neutral,
        ..BASE
    },
    ActionDecl {
        name: "log",
        doc: "writes a line to the screen and the journal",
        params: &[required("text", string), choice("level", &["info", "warn", "error"], "info"), timeout("10m")],
        class: Class::Neutral,
        rules: &[],
        estimate: 0,
        ..BASE
    },
    ActionDecl {
        name: "exec",
        doc: "runs a command where sprag runs",
        params: &[
            of_type(required("command", texts), ParamType::Command),
            secret(named("env", texts, "[]")),
            named("dir", || Type::String.optional(), ""),
            named("allow", ints, "[0]"),
            timeout("10m"),
        ],
        result: Some(Kind::Outcome),
        class: Class::CommitUnlessUndo,
        resume: Resume::Asks,
        interrupt: Interrupt::Never,
        rules: &[],
        estimate: 60_000,
        ..BASE
    },
    ActionDecl {
        name: "job",
        doc: "runs a Job pinned to a node",
        params: &[
            node(),
            required("image", string),
            named("command", texts, "[]"),
            secret(named("env", texts, "[]")),
            named("host", || Type::Bool, "false"),
            named("namespace", string, "\"kube-system\""),
            named("allow", ints, "[0]"),
            timeout("10m"),
        ],
        result: Some(Kind::Outcome),
        class: Class::CommitUnlessUndo,
        resume: Resume::Adopted,
        interrupt: Interrupt::Never,
        rules: &[
            ("batch", "jobs", &["get", "list", "watch", "create", "patch", "delete"]),
            ("", "pods", &["list"]),
            ("", "events", &["list", "watch"]),
            ("", "secrets", &["create"]),
        ],
        estimate: 60_000,
        ..BASE
    },
    ActionDecl {
        name: "evict",
        doc: "evicts one pod",
        params: &[
            required("pod", || Type::Object(Kind::Pod)),
            named("grace", || Type::Duration.optional(), ""),
            timeout("10m"),
        ],
        class: Class::Neutral,
        rules: &[("", "pods", &["get"]), ("", "pods/eviction", &["create"])],
        estimate: 30_000,
        ..BASE
    },
    ActionDecl {
        name: "restart",
        doc: "rolls a workload out anew, as kubectl rollout restart does",
        params: &[required("workload", || Type::Object(Kind::Workload)), timeout("10m")],
        class: Class::Commit,
        interrupt: Interrupt::Never,
        rules: &[
            ("apps", "deployments", &["get", "patch"]),
            ("apps", "statefulsets", &["get", "patch"]),
            ("apps", "daemonsets", &["get", "patch"]),
        ],
        estimate: 5_000,
        ..BASE
    },
    ActionDecl {
        name: "scale",
        doc: "sets how many replicas a workload is to have",
        params: &[
            required("workload", || Type::Object(Kind::Workload)),
            required("replicas", || Type::Int),
            timeout("10m"),
        ],
        rules: &[("apps", "deployments/scale", &["get", "patch"]), ("apps", "statefulsets/scale", &["get", "patch"])],
        ..BASE
    },
    ActionDecl {
        name: "apply",
        doc: "applies the objects of a YAML file by server-side apply, as the field manager `sprag`; one without a namespace in that of the context",
        params: &[required("file", string), timeout("10m")],
        class: Class::Commit,
        interrupt: Interrupt::Never,
        rules: &[],
        ..BASE
    },
    ActionDecl {
        name: "delete",
        doc: "deletes a pod, workload, budget or job, and waits until it is gone",
        params: &[of_type(required("object", || Type::Object(Kind::Pod)), ParamType::Object), timeout("10m")],
        class: Class::Commit,
        interrupt: Interrupt::Never,
        rules: &[
            ("", "pods", &["get", "delete"]),
            ("apps", "deployments", &["get", "delete"]),
            ("apps", "statefulsets", &["get", "delete"]),
            ("apps", "daemonsets", &["get", "delete"]),
            ("apps", "replicasets", &["get", "delete"]),
            ("policy", "poddisruptionbudgets", &["get", "delete"]),
            ("batch", "jobs", &["get", "delete"]),
        ],
        ..BASE
    },
    ActionDecl {
        name: "delete_node",
        doc: "deletes a node's object",
        params: &[node(), timeout("10m")],
        class: Class::Commit,
        interrupt: Interrupt::Never,
        rules: &[("", "nodes", &["get", "delete"])],
        ..BASE
    },
    ActionDecl {
        name: "notify",
        doc: "tells people through a webhook; that nobody could be told is said, and stops nothing",
        params: &[
            required("text", string),
            named("to", || Type::String.optional(), ""),
            secret(named("headers", texts, "[]")),
            timeout("10m"),
        ],
        class: Class::Neutral,
        rules: &[],
        ..BASE
    },
];

/// The action of that name.
pub fn action(name: &str) -> Option<&'static ActionDecl> {
    ACTIONS.iter().find(|action| action.name == name)
}

impl ActionDecl {
    /// Its parameter of that name.
    pub fn param(&self, name: &str) -> Option<&'static ParamDecl> {
        self.params.iter().find(|param| param.name == name)
    }
}
