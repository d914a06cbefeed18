//! kwok in the place of the kubelets, with stages of our own: `tests/real/stages.yaml` says what they do.

use super::controlplane::ControlPlane;
use super::{Error, Result};
use std::fs;

const STAGES: &str = include_str!("../stages.yaml");

/// Starts kwok beside a control plane: from now on its nodes become ready and their pods run.
pub fn start(plane: &ControlPlane) -> Result<()> {
    let stages = plane.folder().join("stages.yaml");
    fs::write(&stages, STAGES).map_err(Error::io("write the stages of kwok"))?;
    let kubeconfig = plane.kubeconfig_for("kwok", &["system:masters"])?;
    let args = [
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--config={}", stages.display()),
        "--manage-all-nodes=true".into(),
        "--node-lease-duration-seconds=40".into(),
        "--node-ip=10.128.0.1".into(),
        "--cidr=10.244.0.0/16".into(),
    ];
    plane.spawn("kwok", &plane.binaries().kwok, &args)
}
