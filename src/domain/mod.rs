//! The rules, as plain types: what a lead is, whose it is, how long it may stay, what the notice says.
//!
//! Its rule: nothing here knows a database, a wire format or a clock. What the law or the notice
//! demands stands here, once; the other modules ask. To add a rule, write it as a function of values
//! and test it here; `store` and `rpc` then have nothing to decide.

pub mod contact;
pub mod erasure;
pub mod lead;
pub mod lifecycle;
pub mod notice;
pub mod retention;
pub mod subject;
pub mod sweep;
