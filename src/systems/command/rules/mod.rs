//! What a command's words mean.

mod says;

use crate::readiness::Rule;

/// Every rule of commands.
pub static RULES: &[&dyn Rule] = &[&says::Says];
