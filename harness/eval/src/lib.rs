//! From a YAML case to a report.
pub mod backend;
pub mod yaml;
