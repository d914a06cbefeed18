//! The standard library: modules in the language itself, part of the binary.

/// Every module: its name after `std::`, and its text.
pub const STANDARD: &[(&str, &str)] = &[
    ("kubeadm", include_str!("../stdlib/kubeadm.sprag")),
    ("node", include_str!("../stdlib/node.sprag")),
    ("preflight", include_str!("../stdlib/preflight.sprag")),
];
