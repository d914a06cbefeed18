//! The programs of the testbed: found where envtest users keep them, or built from the Go module proxy, once.
//!
//! What is built lies in a cache outside the checkout, in a folder named after the version and the digest of the module
//! that it was built from, so that a fresh clone on the same machine builds nothing.

use super::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// etcd, the store below the API server.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub apiserver: PathBuf,
    /// kube-controller-manager.
    pub controller_manager: PathBuf,
    /// kube-scheduler.
    pub scheduler: PathBuf,
    /// kubectl, also the peer that tests and benches compare with.
    pub kubectl: PathBuf,
    /// kwok, which plays the kubelets.
    pub kwok: PathBuf,
    /// The minor that controllers and scheduler emulate, such as `1.36`, where the API server is older than they are:
    /// else they would wait for kinds that it does not serve.
    pub emulated: Option<&'static str>,
}

/// A Go module under `tests/real` that programs are built from.
struct Module {
    folder: &'static str,
    /// The requirement in go.mod whose version is the programs' version.
    versioned_by: &'static str,
    programs: &'static [(&'static str, &'static str)],
}

const CONTROL_PLANE: Module = Module {
    folder: "controlplane",
    versioned_by: "k8s.io/kubernetes",
    programs: &[
        ("etcd", "./etcd"),
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ],
};

const KWOK: Module =
    Module { folder: "kwok", versioned_by: "sigs.k8s.io/kwok", programs: &[("kwok", "sigs.k8s.io/kwok/cmd/kwok")] };

/// The API server of the minor before, for what differs between them. Everything else is the control plane's own.
const APISERVER_1_36: Module = Module {
    folder: "apiserver-1.36",
    versioned_by: "k8s.io/kubernetes",
    programs: &[("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver")],
};

/// What `KUBEBUILDER_ASSETS` must hold to be used at all; the others are taken from it too where they are there.
const ASSETS: [&str; 3] = ["kube-apiserver", "etcd", "kubectl"];

/// Finds all programs, building those that are missing with Go, which takes minutes and says so on standard error.
///
/// Fails with [`Error::Missing`] when something is to be built and there is no Go, and with [`Error::Build`] when Go
/// could not build it.
pub fn find_or_build() -> Result<Binaries> {
    Ok(Binaries {
        etcd: CONTROL_PLANE.program("etcd")?,
        apiserver: CONTROL_PLANE.program("kube-apiserver")?,
        controller_manager: CONTROL_PLANE.program("kube-controller-manager")?,
        scheduler: CONTROL_PLANE.program("kube-scheduler")?,
        kubectl: CONTROL_PLANE.program("kubectl")?,
        kwok: KWOK.program("kwok")?,
        emulated: None,
    })
}

impl Binaries {
    /// These with the API server of Kubernetes 1.36, which is found or built likewise, in about six minutes; it is never
    /// taken from `KUBEBUILDER_ASSETS`, where only one version is.
    pub fn with_apiserver_1_36(mut self) -> Result<Binaries> {
        self.apiserver = APISERVER_1_36.built("kube-apiserver")?;
        self.emulated = Some("1.36");
        Ok(self)
    }
}

/// Finds kubectl alone, or builds it.
///
/// Fails as [`find_or_build`] does.
pub fn kubectl() -> Result<PathBuf> {
    CONTROL_PLANE.program("kubectl")
}

impl Module {
    fn program(&self, name: &str) -> Result<PathBuf> {
        asset(name).map_or_else(|| self.built(name), Ok)
    }

    /// From the cache, or built into it.
    fn built(&self, name: &str) -> Result<PathBuf> {
        let version = self.version()?;
        let cache = cache_root()?.join(format!("{}-{version}-{}", self.folder, self.digest()?));
        let path = cache.join(name);
        if path.is_file() {
            return Ok(path);
        }
        require_go(name)?;
        fs::create_dir_all(&cache).map_err(Error::io(format!("create {}", cache.display())))?;
        let _held = lock(&cache)?;
        if !path.is_file() {
            self.build(name, &version, &path)?;
        }
        Ok(path)
    }

    fn source(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real").join(self.folder)
    }

    fn version(&self) -> Result<String> {
        let path = self.source().join("go.mod");
        let text = fs::read_to_string(&path).map_err(Error::io(format!("read {}", path.display())))?;
        text.lines()
            .map(|line| line.trim().trim_start_matches("require ").trim_start())
            .find_map(|line| line.strip_prefix(self.versioned_by)?.split_whitespace().next())
            .map(String::from)
            .ok_or_else(|| Error::Build(format!("`{}` does not require `{}`", path.display(), self.versioned_by)))
    }

    /// The digest of go.mod, go.sum and the sources, cut to 12 characters.
    fn digest(&self) -> Result<String> {
        let root = self.source();
        let mut files = Vec::new();
        collect(&root, &mut files)?;
        files.sort();
        let mut digest = Sha256::new();
        for file in files {
            let bytes = fs::read(&file).map_err(Error::io(format!("read {}", file.display())))?;
            let name = file.strip_prefix(&root).unwrap_or(&file);
            digest.update(format!("{} {}\n", name.display(), bytes.len()));
            digest.update(bytes);
        }
        Ok(digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Builds under another name and renames, so that a program in the cache is whole.
    fn build(&self, name: &str, version: &str, path: &Path) -> Result<()> {
        let package = self.programs.iter().find(|(program, _)| *program == name).map(|(_, package)| *package);
        let package = package.ok_or_else(|| Error::Build(format!("no package builds `{name}`")))?;
        let partial = path.with_extension(format!("partial-{}", std::process::id()));
        eprintln!("building {name} ({} {version}; first time only, takes minutes) ...", self.folder);
        let begun = Instant::now();
        let status = Command::new("go")
            .args(["build", "-mod=readonly", "-buildvcs=false", "-ldflags", &self.link_flags(version), "-o"])
            .args([partial.as_os_str(), package.as_ref()])
            .current_dir(self.source())
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .stdin(Stdio::null())
            .status()
            .map_err(Error::io("start go"))?;
        if !status.success() {
            let _ = fs::remove_file(&partial);
            return Err(Error::Build(format!("go could not build {name} ({status}); its messages are above")));
        }
        fs::rename(&partial, path).map_err(Error::io(format!("rename to {}", path.display())))?;
        eprintln!("built {name} in {} s", begun.elapsed().as_secs());
        Ok(())
    }

    /// Without the stamp the servers call themselves v0.0.0, and every check of versions would be fooled.
    fn link_flags(&self, version: &str) -> String {
        let stamp = "k8s.io/component-base/version";
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        match self.versioned_by {
            "k8s.io/kubernetes" => {
                format!("-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}")
            }
            _ => "-s -w".into(),
        }
    }
}

/// The program in `KUBEBUILDER_ASSETS`, if that folder is one to use and has it.
fn asset(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?);
    let whole = ASSETS.iter().all(|program| folder.join(program).is_file());
    Some(folder.join(name)).filter(|path| whole && path.is_file())
}

/// `$SPRAG_TESTBED_CACHE`, or `sprag-testbed` in the user's cache folder.
fn cache_root() -> Result<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("SPRAG_TESTBED_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("sprag-testbed")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/sprag-testbed")))
        .ok_or_else(|| Error::Missing("none of SPRAG_TESTBED_CACHE, XDG_CACHE_HOME and HOME is set".into()))
}

fn require_go(name: &str) -> Result<()> {
    let found = Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Error::Missing(format!(
            "{name} is not built yet, and there is no `go` to build it: install Go 1.26, or name a folder with etcd, \
             kube-apiserver, kubectl, kube-controller-manager, kube-scheduler and kwok in KUBEBUILDER_ASSETS"
        ))),
    }
}

/// Holds off other processes that would build into the same folder, until the file is dropped.
fn lock(cache: &Path) -> Result<File> {
    let path = cache.join("lock");
    let file = File::create(&path).map_err(Error::io(format!("create {}", path.display())))?;
    file.lock().map_err(Error::io(format!("lock {}", path.display())))?;
    Ok(file)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io(format!("list {}", folder.display())))? {
        let path = entry.map_err(Error::io(format!("list {}", folder.display())))?.path();
        let source = path.extension().is_some_and(|kind| kind == "go" || kind == "mod" || kind == "sum");
        if path.is_dir() {
            collect(&path, files)?;
        } else if source {
            files.push(path);
        }
    }
    Ok(())
}
