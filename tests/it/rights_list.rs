//! `docs/rights.md` is the list of what the notice and the law promise: each promise with its call and its tests.
//! So it must name tests that are there, and leave none of them out.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::files;

const LIST: &str = include_str!("../../docs/rights.md");

/// The functions in the sources of this program and of its tests whose names say what they prove.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["src", "tests"].map(|dir| files(&root.join(dir))).concat();
    let mut names = BTreeSet::new();
    for path in sources {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for (_, rest) in text
            .match_indices("fn ")
            .map(|(at, found)| text.split_at(at + found.len()))
        {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if is_named(&name) {
                names.insert(name);
            }
        }
    }
    names
}

/// Whether a name carries an article or a case.
fn is_named(name: &str) -> bool {
    let article = name
        .strip_prefix("art_")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    article || name.starts_with("case_")
}

/// Every test that the list names is there, and every test named after an article or a case is in the list.
#[test]
fn the_list_of_rights_names_every_test() {
    let listed: BTreeSet<String> = LIST
        .split('`')
        .filter(|word| is_named(word))
        .map(str::to_owned)
        .collect();
    let tests = tests();
    let gone: Vec<_> = listed.difference(&tests).collect();
    assert!(gone.is_empty(), "in docs/rights.md, and no test: {gone:?}");
    let unlisted: Vec<_> = tests.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not in docs/rights.md: {unlisted:?}");
}
