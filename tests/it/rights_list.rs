//! `docs/rights.md` is the list of what the notice and the law promise: each promise with its call and its tests.
//! So it must name tests that are there, and leave none of them out.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::files;

const LIST: &str = include_str!("../../docs/rights.md");

/// The functions in the sources of this program and of its tests.
fn functions() -> BTreeSet<String> {
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
            names.insert(name);
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
    // Names stand between backquotes in the last column.
    let tests = LIST
        .lines()
        .filter_map(|line| line.trim_end_matches([' ', '|']).rsplit_once('|'))
        .flat_map(|(_, tests)| tests.split('`').skip(1).step_by(2));
    let listed: BTreeSet<String> = tests.map(str::to_owned).collect();
    let functions = functions();
    let gone: Vec<_> = listed.difference(&functions).collect();
    assert!(gone.is_empty(), "in docs/rights.md, and no test: {gone:?}");
    let unlisted: Vec<_> = functions
        .difference(&listed)
        .filter(|name| is_named(name))
        .collect();
    assert!(unlisted.is_empty(), "not in docs/rights.md: {unlisted:?}");
}

/// The names between backquotes in the last column of a document's tables, which have so many bars.
fn last_column(document: &str, bars: usize) -> BTreeSet<String> {
    let rows = document
        .lines()
        .filter(|row| row.matches('|').count() == bars);
    rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit_once('|'))
        .flat_map(|(_, tests)| tests.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// Every test that the threat model and the list of faults name is there.
#[test]
fn what_else_names_tests_names_those_that_are_there() {
    let functions = functions();
    for (name, document, commands) in [
        (
            "docs/security.md",
            include_str!("../../docs/security.md"),
            ["cargo deny", ".ci/run"].as_slice(),
        ),
        (
            "docs/faults.md",
            include_str!("../../docs/faults.md"),
            &[
                "--overload",
                "--held 10000",
                "--neighbour",
                "LEAD_INTAKE_TEST_TRACE=1 ./scripts/test",
            ],
        ),
    ] {
        let mut tests = last_column(document, 6);
        for command in commands {
            assert!(tests.remove(*command), "{name} does not say {command}");
        }
        assert!(tests.len() > 30, "{name}: {tests:?}");
        let gone: Vec<_> = tests.difference(&functions).collect();
        assert!(gone.is_empty(), "in {name}, and no test: {gone:?}");
    }
}
