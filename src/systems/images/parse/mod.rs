//! What registries, pipelines and Docker's own files say. PURE: bytes in, meaning or a gap out.

pub mod challenge;
pub mod docker;
pub mod list;
pub mod manifest;
pub mod reference;
pub mod refusal;
