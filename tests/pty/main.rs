//! The built program in a terminal.

#[cfg(test)]
mod terminal;
