//! The facts of the shipped notices, against Art. 13 and against each other.

use std::collections::BTreeSet;

use super::super::*;
use super::{EN, NB, shipped};

fn gap_keys(facts: &Facts) -> Vec<(&'static str, &'static str)> {
    lint(facts, Language::Nb)
        .into_iter()
        .map(|gap| (gap.paragraph, gap.key))
        .collect()
}

/// Every key of a TOML document with its full path; arrays of tables count by position.
fn key_paths(value: &toml::Value, path: &str, paths: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                key_paths(value, &format!("{path}.{key}"), paths);
            }
        }
        toml::Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                key_paths(value, &format!("{path}[{index}]"), paths);
            }
        }
        _ => assert!(paths.insert(path.to_owned())),
    }
}

/// Both languages of a version have the same keys, so neither reader is told less.
#[test]
fn languages_have_the_same_keys() {
    let versions = [
        (
            include_str!("../../../../notices/1.0/nb.toml"),
            include_str!("../../../../notices/1.0/en.toml"),
        ),
        (NB, EN),
    ];
    for (nb, en) in versions {
        let keys = [nb, en].map(|text| {
            let mut paths = BTreeSet::new();
            key_paths(&toml::from_str(text).unwrap(), "", &mut paths);
            paths
        });
        assert!(keys[0].len() > 20);
        assert_eq!(keys[0], keys[1]);
    }
}

/// Version 1.0 is as silent as the company's own notice, neither more nor less.
#[test]
fn version_1_0_has_exactly_the_known_gaps() {
    for language in Language::ALL {
        let notices = shipped();
        assert_eq!(
            gap_keys(&notices.get("1.0", language).unwrap().facts),
            [
                ("13(1)(b)", "data_protection_officer"),
                ("13(1)(f)", "transfers"),
                ("13(2)(c)", "rights.withdrawal"),
                ("13(2)(d)", "complaint.authority"),
                ("13(2)(e)", "provision_required"),
                ("13(2)(f)", "automated_decisions"),
            ]
        );
    }
}

/// Version 1.1 tells everything Art. 13 asks for.
#[test]
fn version_1_1_has_no_gaps() {
    for language in Language::ALL {
        assert_eq!(gap_keys(&shipped().get("1.1", language).unwrap().facts), []);
    }
}

/// The lint sees a fact that is absent, blank, or nested, and speaks the language asked for.
#[test]
fn lint_finds_each_absence() {
    let mut facts = shipped().get("1.1", Language::Nb).unwrap().facts.clone();
    facts.purposes = vec![" ".to_owned()];
    facts.lawful_bases.clear();
    facts.source = None;
    facts.recipients = None;
    facts.transfers = Some(String::new());
    facts.retention = None;
    facts.rights = Rights {
        how_to_use: String::new(),
        access: None,
        rectification: None,
        erasure: None,
        restriction: None,
        portability: None,
        withdrawal: None,
        objection: None,
    };
    facts.complaint = None;
    facts.provision_required = None;
    facts.automated_decisions = None;
    facts.data_protection_officer = None;
    // All but the withdrawal of consent, which matters only where consent is a basis.
    assert_eq!(gap_keys(&facts).len(), 17);
    assert!(!gap_keys(&facts).contains(&("13(2)(c)", "rights.withdrawal")));
    let [nb, en] = Language::ALL.map(|language| lint(&facts, language));
    assert!(
        nb.iter()
            .zip(&en)
            .all(|(nb, en)| nb.key == en.key && nb.text != en.text)
    );
}

/// The longest retention is the same as data and as words.
#[test]
fn retention_days_are_told_in_the_text() {
    for language in Language::ALL {
        let notices = shipped();
        let retention = |version| {
            notices
                .get(version, language)
                .unwrap()
                .facts
                .retention
                .clone()
        };
        assert_eq!(retention("1.0").unwrap().days_max, None);
        let promised = retention("1.1").unwrap();
        assert_eq!(promised.days_max, Some(180));
        assert!(promised.criteria.contains("180"));
    }
}
