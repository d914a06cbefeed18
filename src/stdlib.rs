//! The standard library: modules in the language itself, part of the binary.

/// Every module: its name after `std::`, and its text.
pub const STANDARD: &[(&str, &str)] = &[("node", include_str!("../stdlib/node.sprag"))];
