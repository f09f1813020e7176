//! Small things that screens are made of.

pub mod chart;
pub mod form;
pub mod pen;
pub mod text;
