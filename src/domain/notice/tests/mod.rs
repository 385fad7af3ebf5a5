//! What the notice promises, checked on the shipped files and on changed copies of them.

mod facts;
mod registry;
mod text;

use super::{Controller, NoticeRegistry};

const NB: &str = include_str!("../../../../notices/1.1/nb.toml");
const EN: &str = include_str!("../../../../notices/1.1/en.toml");

fn shipped() -> NoticeRegistry {
    NoticeRegistry::shipped(&Controller::default()).unwrap()
}
