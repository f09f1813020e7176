//! What names, ends of files and markers say. Pure.

pub mod form;
pub mod pattern;
pub mod pick;
pub mod proof;
pub mod rows;
