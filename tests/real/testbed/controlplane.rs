//! One control plane: etcd, the API server, the controllers and the scheduler, in a folder and on ports of their own.

use super::api::Api;
use super::audit::{self, AuditEntry};
use super::binaries::Binaries;
use super::certs::{Authority, Pair};
use super::process::{Children, KEEP};
use super::{Error, Result, until};
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// How long a start may take; ten seconds are usual on two idle cores.
const START: Duration = Duration::from_secs(120);

/// A running control plane, ended when this is dropped.
pub struct ControlPlane {
    binaries: Binaries,
    authority: Authority,
    server: String,
    api: Api,
    children: Mutex<Children>,
    /// How the API server was started.
    apiserver: Vec<String>,
    folder: TempDir,
}

impl ControlPlane {
    /// Starts one and waits until its API server, its controllers and its scheduler work.
    ///
    /// A port that someone else took between choosing and using it is no failure: all is begun anew, up to three times.
    pub fn start(binaries: Binaries) -> Result<ControlPlane> {
        let mut tries = 0;
        loop {
            tries += 1;
            match ControlPlane::start_once(binaries.clone()) {
                Err(Error::Start(why)) if tries < 3 && why.contains("address already in use") => {}
                outcome => return outcome,
            }
        }
    }

    fn start_once(binaries: Binaries) -> Result<ControlPlane> {
        let folder = tempfile::Builder::new().prefix("sprag-testbed-").tempdir();
        let mut folder = folder.map_err(Error::io("create the folder of the testbed"))?;
        folder.disable_cleanup(std::env::var_os(KEEP).is_some());
        let path = folder.path().to_owned();
        let authority = Authority::new(&path)?;
        let ports = free_ports::<3>()?;
        let server = format!("https://127.0.0.1:{}", ports[2]);
        let mut children = Children::new(&path)?;
        children.spawn("etcd", &binaries.etcd, &etcd(&path, ports[0], ports[1]))?;
        let apiserver = apiserver(&path, &authority, ports[0], ports[2])?;
        children.spawn("kube-apiserver", &binaries.apiserver, &apiserver)?;
        let admin = kubeconfig(&server, &authority, "admin", &["system:masters"])?;
        let api = Api::connect(&admin)?;
        let children = Mutex::new(children);
        let plane = ControlPlane { binaries, authority, server, api, children, apiserver, folder };
        plane.wait_for("the API server is ready", |api| api.text("/readyz").is_ok())?;
        plane.start_controllers()?;
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        plane.wait_for("the controllers are at work", |api| api.get(account).is_ok())?;
        Ok(plane)
    }

    fn start_controllers(&self) -> Result<()> {
        let manager = self.kubeconfig_for("system:kube-controller-manager", &[])?;
        let scheduler = self.kubeconfig_for("system:kube-scheduler", &[])?;
        let path = self.folder.path();
        let emulated = self.binaries.emulated.map(|minor| format!("--emulated-version={minor}"));
        let mut args = controller_manager(path, &manager, &self.authority);
        args.extend(emulated.clone());
        self.spawn("kube-controller-manager", &self.binaries.controller_manager, &args)?;
        let mut args = vec![
            format!("--kubeconfig={}", scheduler.display()),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
            "--kube-api-qps=1000".into(),
            "--kube-api-burst=2000".into(),
        ];
        args.extend(emulated);
        self.spawn("kube-scheduler", &self.binaries.scheduler, &args)
    }

    fn wait_for(&self, what: &str, done: impl Fn(&Api) -> bool) -> Result<()> {
        until(what, START, || {
            self.check()?;
            Ok(done(&self.api).then_some(()))
        })
    }

    /// The error of a program that has ended by itself, with the end of its log.
    pub fn check(&self) -> Result<()> {
        self.children().check()
    }

    fn children(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the API server; what is in etcd stays.
    pub fn stop_apiserver(&self) -> Result<()> {
        self.children().kill("kube-apiserver")
    }

    /// Starts the API server again, on its port, and waits until it is ready.
    pub fn start_apiserver(&self) -> Result<()> {
        self.spawn("kube-apiserver", &self.binaries.apiserver, &self.apiserver)?;
        self.wait_for("the API server is ready again", |api| api.text("/readyz").is_ok())
    }

    /// The testbed's own connection, as an administrator.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The programs that run here.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Where the logs are, `NAME.log` each.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address of the API server, `https://127.0.0.1:PORT`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("admin.kubeconfig")
    }

    /// A kubeconfig that logs in as `user` with `groups`, which have the rights that RBAC gives them.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        kubeconfig(&self.server, &self.authority, user, groups)
    }

    /// A certificate for a server beside the control plane, on the loopback address, which trusts it by the authority at
    /// `ca.crt` of [`folder`](Self::folder).
    pub fn certificate(&self, name: &str) -> Result<Pair> {
        self.authority.server(name)
    }

    /// The environment in which the command `kubectl` is the testbed's and an administrator, for playbooks' commands.
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        let mut path = self.binaries.kubectl.parent().map(|folder| folder.as_os_str().to_owned()).unwrap_or_default();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let cache = self.folder.path().join("kubectl-cache");
        vec![("PATH", path), ("KUBECONFIG", self.kubeconfig().into()), ("KUBECACHEDIR", cache.into())]
    }

    /// Runs the real kubectl: its standard output, or its standard error if it failed.
    pub fn kubectl(&self, args: &[&str]) -> std::result::Result<String, String> {
        let output = Command::new(&self.binaries.kubectl).args(args).envs(self.env()).output();
        let output = output.map_err(|error| format!("start kubectl: {error}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Every request so far that was answered, in the order of the answers.
    pub fn audit(&self) -> Result<Vec<AuditEntry>> {
        audit::read(&self.folder.path().join("audit.log"))
    }

    /// Starts one more program beside the control plane, to be ended with it.
    pub fn spawn(&self, name: &str, program: &Path, args: &[String]) -> Result<()> {
        self.children().spawn(name, program, args)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.children().stop();
        if std::env::var_os(KEEP).is_some() {
            eprintln!("the testbed's folder is kept: {}", self.folder.path().display());
        }
    }
}

/// Ports of the loopback address that nobody listened on a moment ago.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::io("find a free port"))?;
        *port = listener.local_addr().map_err(Error::io("find a free port"))?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn etcd(folder: &Path, client: u16, peer: u16) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    vec![
        "--name=default".into(),
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ]
}

fn apiserver(folder: &Path, authority: &Authority, etcd: u16, port: u16) -> Result<Vec<String>> {
    let Pair { cert, key } = authority.server("kube-apiserver")?;
    let accounts = authority.service_accounts()?;
    let policy = folder.join("audit-policy.json");
    fs::write(&policy, audit::POLICY).map_err(Error::io("write the audit policy"))?;
    Ok(vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        "--endpoint-reconciler-type=none".into(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", cert.display()),
        format!("--tls-private-key-file={}", key.display()),
        format!("--client-ca-file={}", authority.cert().display()),
        "--authorization-mode=Node,RBAC".into(),
        "--allow-privileged=true".into(),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", accounts.cert.display()),
        format!("--service-account-signing-key-file={}", accounts.key.display()),
        format!("--audit-policy-file={}", policy.display()),
        format!("--audit-log-path={}", folder.join("audit.log").display()),
    ])
}

fn controller_manager(folder: &Path, kubeconfig: &Path, authority: &Authority) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        "--use-service-account-credentials=true".into(),
        format!("--service-account-private-key-file={}", folder.join("service-accounts.key").display()),
        format!("--root-ca-file={}", authority.cert().display()),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
        "--kube-api-qps=1000".into(),
        "--kube-api-burst=2000".into(),
    ]
}

/// Writes `USER.kubeconfig`, as JSON, which is YAML too.
fn kubeconfig(server: &str, authority: &Authority, user: &str, groups: &[&str]) -> Result<PathBuf> {
    let Pair { cert, key } = authority.client(user, groups)?;
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority": authority.cert()}}],
        "users": [{"name": user, "user": {"client-certificate": cert, "client-key": key}}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": user}}],
        "current-context": "testbed",
    });
    let path = cert.with_extension("kubeconfig");
    fs::write(&path, config.to_string()).map_err(Error::io(format!("write {}", path.display())))?;
    Ok(path)
}
