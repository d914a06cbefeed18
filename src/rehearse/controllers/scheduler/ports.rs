//! Ports of the node that pods take.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;

/// A port of a node, taken on one of its addresses or all of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HostPort {
    port: i32,
    protocol: String,
    address: String,
}

const ALL: &str = "0.0.0.0";

/// The ports that a pod takes: of its containers and sidecars; on the node's own network, every port that it names
/// (scheduler/util, GetHostPorts; core/v1/defaults.go).
pub(super) fn host_ports(spec: &PodSpec) -> impl Iterator<Item = HostPort> {
    let is_on_host = spec.host_network.unwrap_or(false);
    let init = spec.init_containers.iter().flatten();
    let sidecars = init.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let ports = sidecars.chain(&spec.containers).flat_map(|container| container.ports.iter().flatten());
    ports.filter_map(move |port| {
        let taken = port.host_port.or(is_on_host.then_some(port.container_port)).filter(|port| *port > 0)?;
        let address = port.host_ip.clone().filter(|address| !address.is_empty());
        Some(HostPort {
            port: taken,
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            address: address.unwrap_or_else(|| ALL.to_owned()),
        })
    })
}

/// Whether one of these is taken already: on the same address, or one of both on all of them.
pub(super) fn conflict(wanted: &[HostPort], taken: &BTreeMap<HostPort, usize>) -> bool {
    wanted.iter().any(|one| taken.keys().any(|other| clash(one, other)))
}

fn clash(one: &HostPort, other: &HostPort) -> bool {
    let is_same_address = one.address == other.address || one.address == ALL || other.address == ALL;
    one.port == other.port && one.protocol == other.protocol && is_same_address
}
