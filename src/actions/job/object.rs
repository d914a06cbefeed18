//! The objects of a step's Job: names, labels, pod, Secret.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::actions::args::{Read, list, optional_text, text};
use crate::actions::context::{Args, Attempt, StepContext};
use crate::actions::exec::{MARKER, allowed, env, reveal};
use crate::catalog::value::Value as Argument;
use crate::engine::event::Failure;
use crate::facts::OWN_LABEL;

/// How many seconds after its end Kubernetes removes a Job that sprag did not remove.
pub(super) const TTL: u32 = 3_600;
/// The annotation with the step's whole id.
pub(super) const STEP: &str = "sprag.dev/step";
/// The annotation with the attempt that made the Job.
pub(super) const ATTEMPT: &str = "sprag.dev/attempt";
/// The longest name of a Job: a label holds it, and the names of pods add six characters.
const LONGEST: usize = 57;
/// How many hex digits tell steps apart whose shortened ids are the same.
const HASH: usize = 8;

/// What a step wants to be run.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The Job's name, and that of its Secret.
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) image: String,
    /// Exit codes that are good.
    pub(super) allow: Vec<i64>,
    run: String,
    step: String,
    attempt: u32,
    command: Vec<String>,
    plain: Vec<(String, String)>,
    secret: Map<String, Value>,
    host: bool,
}

impl Wanted {
    pub(super) fn of(args: &Args, context: &StepContext) -> Read<Self> {
        let (mut plain, mut secret) = (Vec::new(), Map::new());
        for (name, text) in env(args)? {
            if text.contains(MARKER) {
                secret.insert(name, Value::String(reveal(&text, context)?));
            } else {
                plain.push((name, text));
            }
        }
        let image = text(args, "image")?.to_owned();
        if image.is_empty() {
            return Err(Attempt::Refused(Failure::new("E530", "`image` is empty")));
        }
        let name = name_of(&context.run, &context.step);
        plain.push(("SPRAG_RUN".to_owned(), context.run.to_string()));
        plain.push(("SPRAG_STEP".to_owned(), context.step.clone()));
        plain.push(("SPRAG_JOB".to_owned(), name.clone()));
        Ok(Self {
            name,
            namespace: optional_text(args, "namespace")?.unwrap_or("kube-system").to_owned(),
            image,
            allow: allowed(args)?,
            run: context.run.to_string(),
            step: context.step.clone(),
            attempt: context.attempt,
            command: list(args, "command")?.iter().map(Argument::to_string).collect(),
            plain,
            secret,
            host: matches!(args.get("host"), Some(Argument::Bool(true))),
        })
    }

    pub(super) fn collection(&self) -> String {
        format!("/apis/batch/v1/namespaces/{}/jobs", self.namespace)
    }

    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }

    /// The one Job as a list, for a watch.
    pub(super) fn listed(&self) -> String {
        format!("{}?fieldSelector=metadata.name%3D{}", self.collection(), self.name)
    }

    pub(super) fn secrets_path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.namespace)
    }

    /// `namespace/name`.
    pub(super) fn shown(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The Job. With secrets it is suspended until its Secret is there.
    pub(super) fn job(&self, node: &str) -> Value {
        let labels = json!({OWN_LABEL: self.run, "sprag.dev/step": label_of(&self.step)});
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": labels,
                "annotations": {STEP: self.step, ATTEMPT: self.attempt.to_string()},
            },
            "spec": {
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": TTL,
                "suspend": !self.secret.is_empty(),
                "template": {"metadata": {"labels": labels}, "spec": self.pod(node)},
            },
        })
    }

    /// Bound past the scheduler: it may be cordoned, and the scheduler may be what is being upgraded.
    fn pod(&self, node: &str) -> Value {
        let mut container = json!({"name": "main", "image": self.image, "env": self.env()});
        if !self.command.is_empty() {
            container["command"] = self.command.iter().map(|word| Value::String(literal(word))).collect();
        }
        let mut pod = json!({
            "restartPolicy": "Never",
            "nodeName": node,
            "automountServiceAccountToken": false,
            "tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}],
        });
        if self.host {
            container["securityContext"] = json!({"privileged": true});
            container["volumeMounts"] =
                json!([{"name": "host", "mountPath": "/host", "mountPropagation": "HostToContainer"}]);
            pod["volumes"] = json!([{"name": "host", "hostPath": {"path": "/"}}]);
            pod["hostPID"] = json!(true);
            pod["hostNetwork"] = json!(true);
            pod["tolerations"] = json!([{"operator": "Exists"}]);
        }
        pod["containers"] = json!([container]);
        pod
    }

    fn env(&self) -> Value {
        let plain = self.plain.iter().map(|(name, text)| json!({"name": name, "value": literal(text)}));
        let secret = self
            .secret
            .keys()
            .map(|name| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": self.name, "key": name}}}));
        plain.chain(secret).collect()
    }

    /// The Secret, owned by the Job of that UID; `None` where there is nothing secret.
    pub(super) fn secret(&self, owner: &str) -> Option<Value> {
        let labels = json!({OWN_LABEL: self.run, "sprag.dev/step": label_of(&self.step)});
        let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": self.name, "uid": owner});
        (!self.secret.is_empty()).then(|| {
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": self.name, "namespace": self.namespace, "labels": labels, "ownerReferences": [owner],
                },
                "immutable": true,
                "stringData": self.secret,
            })
        })
    }
}

/// Text that Kubernetes takes as it stands: `$(NAME)` would be replaced (EnvVar, core/v1).
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// `sprag-<run>-<step, shortened>-<hash>`, good as a name of a Job and its pods.
fn name_of(run: &str, step: &str) -> String {
    let hash = hash_of(&format!("{run} {step}"));
    let run = plain(run);
    let room = LONGEST.saturating_sub("sprag-".len() + run.len() + 2 + HASH);
    let step = tail(&plain(step), room);
    if step.is_empty() { format!("sprag-{run}-{hash}") } else { format!("sprag-{run}-{step}-{hash}") }
}

/// The step as the value of a label.
fn label_of(step: &str) -> String {
    let hash = hash_of(step);
    let step = tail(&plain(step), 63 - 1 - HASH);
    if step.is_empty() { hash } else { format!("{step}-{hash}") }
}

/// Its end tells steps apart better than its beginning.
fn tail(text: &str, room: usize) -> String {
    text[text.len().saturating_sub(room)..].trim_matches('-').to_owned()
}

/// Lower-case ASCII letters, digits and single dashes.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte.to_ascii_lowercase() {
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ if out.is_empty() || out.ends_with('-') => {}
            _ => out.push('-'),
        }
    }
    out.trim_matches('-').to_owned()
}

fn hash_of(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..HASH].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        let long = format!("workers/{}/upgrade_node/job#2", "ip-10-0-3-7.eu-west-1.compute.internal".repeat(3));
        for step in ["workers/n1/job", &long, "ÄÖ/…", "a"] {
            let name = name_of("7c1f-01", step);
            assert!(name.len() <= LONGEST && name.starts_with("sprag-7c1f-01-"), "{name}");
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(name.bytes().all(is_plain) && !name.contains("--") && !name.ends_with('-'), "{name}");
            assert!(label_of(step).len() <= 63, "{}", label_of(step));
        }
        assert_ne!(name_of("7c1f-01", "a/b"), name_of("7c1f-01", "a-b"));
    }

    #[test]
    fn what_looks_like_a_variable_stays_text() {
        assert_eq!(literal("echo $(X) $Y"), "echo $$(X) $$Y");
    }
}
