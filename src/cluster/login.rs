//! From kubeconfig, context and in-cluster configuration to a connection, in kubectl's order: `--kubeconfig`, the files of
//! `KUBECONFIG`, `~/.kube/config`, and where there is none of them, the service account of the pod.
//!
//! Nothing is changed in any file, and the login is tried with one request before anything else is done.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempPath;

use super::credentials::{Credentials, Login};
use super::{RequestError, Requests};
use crate::diagnostic::did_you_mean;
use crate::facts::objects::Meta;
use crate::outside::Outside;

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a cluster may be out of reach before a run begins; in a run it is waited for.
const REACH: Duration = Duration::from_secs(10);
/// The context's name where there is no kubeconfig.
const IN_CLUSTER: &str = "in-cluster";

/// How a person chose the cluster, as kubectl's flags of the same names.
#[derive(Debug, Clone, Default)]
pub struct LoginOptions {
    /// `--kubeconfig`
    pub kubeconfig: Option<PathBuf>,
    /// `--context`
    pub context: Option<String>,
    /// `--as`
    pub impersonate: Option<String>,
}

/// A cluster that answers.
#[derive(Clone)]
pub struct Connection {
    /// The way to it.
    pub requests: Requests,
    /// The UID of the namespace kube-system; empty when it cannot be read.
    pub uid: String,
    /// The context's name, or `in-cluster`.
    pub context: String,
    /// The namespace of what names none: the context's, in a pod its own, else `default`.
    pub namespace: String,
    /// The API server's version, such as `v1.37.2`.
    pub version: String,
    /// Added to a command's environment: `KUBECONFIG` of the chosen context.
    pub(crate) environment: Vec<(String, String)>,
    /// The file that `environment` names first where `--context` chose another than the current context.
    #[expect(dead_code, reason = "held, so that the file is there for as long as the connection")]
    pub(crate) chosen: Option<Arc<TempPath>>,
}

impl Connection {
    /// Whether this is the login of a pod's service account.
    pub fn is_in_cluster(&self) -> bool {
        self.context == IN_CLUSTER
    }

    /// Added to a command's environment: `KUBECONFIG` of the chosen context. Good for as long as the connection is kept.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A kubeconfig that is missing or cannot be read: exit 2.
    #[error("{0}")]
    Missing(String),
    /// A kubeconfig that is broken: exit 2.
    #[error("{0}")]
    Config(String),
    /// A context that no kubeconfig has: exit 2.
    #[error("{0}")]
    Context(String),
    /// The cluster does not answer: exit 13.
    #[error("{0}")]
    OutOfReach(String),
    /// The login is refused or has expired: exit 13.
    #[error("{0}")]
    Refused(String),
}

/// The kubeconfig that is used.
struct Chosen {
    /// The files that it was read from.
    files: Vec<PathBuf>,
    config: Kubeconfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerVersion {
    git_version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Namespace {
    metadata: Meta,
}

/// Logs in and asks the server for its version.
///
/// # Errors
/// See [`LoginError`].
pub async fn connect(options: &LoginOptions, outside: &Outside) -> Result<Connection, LoginError> {
    let chosen = choose(options, std::env::var_os("KUBECONFIG"), std::env::home_dir())?;
    let (config, context) = configuration(chosen.as_ref(), options).await?;
    let (server, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
    let client = client(config, &context)?;
    let credentials = Credentials::new(client, Some(login_again(options, &context, &server)));
    let requests = Requests::over(credentials, outside.clock.clone(), outside.clock.now().unsigned_abs());
    let (version, uid) = greet(&requests, &server, &context).await?;
    let (environment, file) = match &chosen {
        Some(chosen) => for_commands(chosen, options, &context)?,
        None => (Vec::new(), None),
    };
    Ok(Connection { requests, uid, context, namespace, version, environment, chosen: file })
}

async fn configuration(chosen: Option<&Chosen>, options: &LoginOptions) -> Result<(kube::Config, String), LoginError> {
    let (mut config, context) = match chosen {
        Some(chosen) => from_kubeconfig(chosen, options).await?,
        None => (from_pod(options)?, IN_CLUSTER.to_owned()),
    };
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    // The retry layer bounds each request; a bound of the connection would cut watches.
    config.read_timeout = None;
    if let Some(user) = &options.impersonate {
        config.auth_info.impersonate = Some(user.clone());
    }
    Ok((config, context))
}

fn client(config: kube::Config, context: &str) -> Result<kube::Client, LoginError> {
    kube::Client::try_from(config)
        .map_err(|error| LoginError::Config(format!("context `{context}`: {}", super::requests::root_cause(&error))))
}

/// Logs in as before with what the files hold by then: into the same context, whichever is the current one by then, and
/// only if that still leads to the same server.
fn login_again(options: &LoginOptions, context: &str, server: &str) -> Login {
    let (mut options, context, server) = (options.clone(), context.to_owned(), server.to_owned());
    if context != IN_CLUSTER {
        options.context = Some(context.clone());
    }
    Box::new(move || {
        let (options, context, server) = (options.clone(), context.clone(), server.clone());
        Box::pin(async move {
            let chosen = choose(&options, std::env::var_os("KUBECONFIG"), std::env::home_dir());
            let chosen = chosen.map_err(|error| error.to_string())?;
            let (config, _) = configuration(chosen.as_ref(), &options).await.map_err(|error| error.to_string())?;
            if config.cluster_url.to_string() != server {
                return Err(format!("the context `{context}` leads to {} by now", config.cluster_url));
            }
            // A login plugin is run and waited for here: not on the thread that also hears of signals.
            let made = tokio::task::spawn_blocking(move || client(config, &context)).await;
            made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        })
    })
}

/// The server's version and the UID of kube-system.
pub(super) async fn greet(requests: &Requests, server: &str, context: &str) -> Result<(String, String), LoginError> {
    let asked = tokio::time::timeout(REACH, async {
        let version: ServerVersion = requests.get("/version").await?;
        let uid = match requests.get::<Namespace>("/api/v1/namespaces/kube-system").await {
            Ok(namespace) => namespace.metadata.uid,
            Err(RequestError::Forbidden(_) | RequestError::NotFound(_)) => String::new(),
            Err(error) => return Err(error),
        };
        Ok((version.git_version, uid))
    });
    match asked.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(RequestError::Unauthorized(why))) => {
            Err(LoginError::Refused(format!("the login of context `{context}` is refused: {}", lower(&why))))
        }
        Ok(Err(RequestError::Forbidden(why))) => Err(LoginError::Refused(format!(
            "the login of context `{context}` may not even ask for the version: {why}"
        ))),
        Ok(Err(error)) => Err(LoginError::OutOfReach(format!("{server} does not answer like an API server: {error}"))),
        Err(_) => Err(unreachable(requests, server, context)),
    }
}

fn unreachable(requests: &Requests, server: &str, context: &str) -> LoginError {
    let why = requests.trouble_since().map_or_else(|| "it asks for patience".to_owned(), |(_, why)| why);
    // TLS 1.3 tells a client that its certificate is no good only once the connection stands: as an alert.
    if why.contains("received fatal alert") {
        return LoginError::Refused(format!("{server} refuses the client certificate of context `{context}`: {why}"));
    }
    LoginError::OutOfReach(format!("{server} (context `{context}`) is out of reach: {}", lower(&why)))
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Reads the kubeconfig that is meant; `None` where there is none, as in a pod.
fn choose(
    options: &LoginOptions,
    variable: Option<OsString>,
    home: Option<PathBuf>,
) -> Result<Option<Chosen>, LoginError> {
    if let Some(file) = &options.kubeconfig {
        return Ok(Some(Chosen { files: vec![absolute(file)], config: read(file)? }));
    }
    let listed: Vec<PathBuf> =
        variable.iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty()).collect();
    if !listed.is_empty() {
        return merged(&listed).map(Some);
    }
    match home.map(|home| home.join(".kube/config")).filter(|file| file.exists()) {
        Some(file) => Ok(Some(Chosen { config: read(&file)?, files: vec![file] })),
        None => Ok(None),
    }
}

/// The files of `KUBECONFIG` as one; like kubectl, files that do not exist are passed over.
fn merged(listed: &[PathBuf]) -> Result<Chosen, LoginError> {
    let files: Vec<PathBuf> = listed.iter().filter(|file| file.exists()).map(|file| absolute(file)).collect();
    if files.is_empty() {
        let names: Vec<String> = listed.iter().map(|file| format!("`{}`", file.display())).collect();
        return Err(LoginError::Missing(format!("KUBECONFIG names {}, which is not there", names.join(", "))));
    }
    let mut config = Kubeconfig::default();
    for file in &files {
        config = config
            .merge(read(file)?)
            .map_err(|error| LoginError::Config(format!("the files of KUBECONFIG do not go together: {error}")))?;
    }
    Ok(Chosen { files, config })
}

fn read(file: &Path) -> Result<Kubeconfig, LoginError> {
    Kubeconfig::read_from(file).map_err(|error| match error {
        KubeconfigError::ReadConfig(error, _) => {
            LoginError::Missing(format!("the kubeconfig `{}` cannot be read: {error}", file.display()))
        }
        error => LoginError::Config(format!("the kubeconfig `{}` is broken: {error}", file.display())),
    })
}

fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

/// The configuration of the context that is meant, and its name.
async fn from_kubeconfig(chosen: &Chosen, options: &LoginOptions) -> Result<(kube::Config, String), LoginError> {
    let context = context_of(&chosen.config, options.context.as_deref())?;
    let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let config = kube::Config::from_custom_kubeconfig(chosen.config.clone(), &options)
        .await
        .map_err(|error| LoginError::Config(format!("context `{context}`: {error}")))?;
    Ok((config, context))
}

fn context_of(config: &Kubeconfig, named: Option<&str>) -> Result<String, LoginError> {
    let known: Vec<&str> = config.contexts.iter().map(|context| context.name.as_str()).collect();
    let there = match known.as_slice() {
        [] => "the kubeconfig has no contexts".to_owned(),
        known => format!("there are `{}`", known.join("`, `")),
    };
    let current = config.current_context.as_deref().filter(|name| !name.is_empty());
    let Some(name) = named.or(current) else {
        return Err(LoginError::Context(format!("no context is chosen: {there}")));
    };
    if known.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(LoginError::Context(match did_you_mean(name, known.iter().copied()) {
        Some(meant) => format!("there is no context `{name}`; did you mean `{meant}`?"),
        None => format!("there is no context `{name}`: {there}"),
    }))
}

fn from_pod(options: &LoginOptions) -> Result<kube::Config, LoginError> {
    if let Some(context) = &options.context {
        return Err(LoginError::Missing(format!("there is no kubeconfig that could have the context `{context}`")));
    }
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return Err(LoginError::Missing(
            "there is no kubeconfig, neither `~/.kube/config` nor in KUBECONFIG".to_owned(),
        ));
    }
    kube::Config::incluster()
        .map_err(|error| LoginError::Config(format!("the service account of this pod cannot be used: {error}")))
}

/// An environment, and the file that it names, which is there for as long as this is kept.
type ForCommands = (Vec<(String, String)>, Option<Arc<TempPath>>);

/// What commands are given so that they reach the same cluster: the files, absolute, and where another context than the
/// current one was chosen, a file that says so before them (the first that names a current context wins).
fn for_commands(chosen: &Chosen, options: &LoginOptions, context: &str) -> Result<ForCommands, LoginError> {
    let is_current = chosen.config.current_context.as_deref() == Some(context);
    let named = options.kubeconfig.is_some() || std::env::var_os("KUBECONFIG").is_some();
    if is_current && !named {
        return Ok((Vec::new(), None));
    }
    let unwritable = |error: std::io::Error| LoginError::Missing(format!("no file for the chosen context: {error}"));
    let file = match is_current {
        true => None,
        false => Some(Arc::new(context_file(context).map_err(unwritable)?)),
    };
    let paths = file.iter().map(|file| file.to_path_buf()).chain(chosen.files.iter().cloned());
    let joined = std::env::join_paths(paths)
        .map_err(|error| LoginError::Config(format!("the kubeconfig's path cannot stand in KUBECONFIG: {error}")))?;
    Ok((vec![("KUBECONFIG".to_owned(), joined.to_string_lossy().into_owned())], file))
}

fn context_file(context: &str) -> std::io::Result<TempPath> {
    let mut file = tempfile::Builder::new().prefix("sprag-context-").suffix(".json").tempfile()?;
    let text = json!({ "apiVersion": "v1", "kind": "Config", "current-context": context }).to_string();
    file.write_all(text.as_bytes())?;
    Ok(file.into_temp_path())
}

#[cfg(test)]
mod tests;
