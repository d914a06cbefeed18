//! Which cluster is meant: the flags that kubectl has, and what to say when there is no way in.

use std::path::PathBuf;

use clap::Args;

use crate::cluster::{Connection, LoginError, LoginOptions, connect};
use crate::outside::Outside;

use super::{Exit, Failed};

/// How a person chooses the cluster.
#[derive(Debug, Args)]
#[group(id = "login")]
pub(super) struct LoginArgs {
    /// The kubeconfig; else KUBECONFIG, else ~/.kube/config, else the account of the pod that this runs in
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig; else its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The user to act as
    #[arg(long = "as", value_name = "USER")]
    impersonate: Option<String>,
}

impl LoginArgs {
    /// Logs in.
    pub(super) async fn connect(&self, outside: &Outside) -> Result<Connection, Failed> {
        let options = LoginOptions {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            impersonate: self.impersonate.clone(),
        };
        Ok(connect(&options, outside).await?)
    }
}

impl From<LoginError> for Failed {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Missing(what) => {
                Self::told("E701", what, Exit::Usage).help("name the file with --kubeconfig, or in KUBECONFIG")
            }
            LoginError::Config(what) => {
                Self::told("E702", what, Exit::Usage).help("`kubectl config view` shows what kubectl makes of it")
            }
            LoginError::Context(what) => Self::told("E703", what, Exit::Usage)
                .help("`kubectl config get-contexts` lists the contexts, --context chooses one"),
            LoginError::OutOfReach(what) => Self::told("E710", what, Exit::OutOfReach)
                .help("is the VPN up, and is it the right cluster? `kubectl version` takes the same way"),
            LoginError::Refused(what) => Self::told("E711", what, Exit::OutOfReach)
                .help("log in again, as for kubectl; `kubectl auth whoami` tells whether it worked"),
        }
    }
}
