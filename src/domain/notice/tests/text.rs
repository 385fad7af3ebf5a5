//! The rendered text and its hash.

use std::collections::BTreeSet;

use super::super::*;
use super::shipped;

/// A released text keeps its hash for ever: leads refer to it as evidence of what was shown.
/// If this fails, a released notice or the renderer changed. Ship a new version instead.
#[test]
fn released_texts_keep_their_hashes() {
    let pinned = [
        (
            "1.0",
            Language::Nb,
            "1644c16f649f0f9236482202c47560b198498a4d94f53525a07cdc3b16fb31ae",
        ),
        (
            "1.0",
            Language::En,
            "5c1b1edb520eb8eb4897a8ce1d22135105d8e183e4d5bf641afa5365799faa71",
        ),
        (
            "1.1",
            Language::Nb,
            "08565b94b18684cf4c91906c1235fb07b4218d85e8e5aeabd2e0ba8bd854d0c9",
        ),
        (
            "1.1",
            Language::En,
            "9afa863a93035f0a4959639235d21dd695e91532051463f6f10ae15dafb1d50b",
        ),
    ];
    let notices = shipped();
    for (version, language, sha256) in pinned {
        let notice = notices.get(version, language).unwrap();
        assert_eq!(notice.sha256_hex(), sha256, "{version} {language}");
    }
    let all: BTreeSet<&str> = pinned.iter().map(|(.., sha256)| *sha256).collect();
    assert_eq!(
        all.len(),
        pinned.len(),
        "each version and language has a text of its own"
    );
}

/// The text tells who the controller is, and its hash depends on that.
#[test]
fn text_names_the_controller_and_the_authority() {
    let controller = Controller::default();
    let notices = shipped();
    for language in Language::ALL {
        for version in ["1.0", "1.1"] {
            let text = &notices.get(version, language).unwrap().text;
            for part in [
                &controller.name,
                &controller.address,
                &controller.organisation_number,
            ] {
                assert!(text.contains(part.as_str()));
            }
            assert!(text.contains(&controller.phone) && text.contains(&controller.email));
            assert_eq!(
                text.contains("Postboks 458 Sentrum, 0105 Oslo"),
                version == "1.1"
            );
        }
    }
    let moved = Controller {
        address: "Storgata 1, 0155 Oslo".to_owned(),
        ..controller
    };
    let elsewhere = NoticeRegistry::shipped(&moved).unwrap();
    let hash = |notices: &NoticeRegistry| notices.get("1.0", Language::Nb).unwrap().sha256;
    assert_ne!(hash(&notices), hash(&elsewhere));
}

/// Dates are written the way each language writes them.
#[test]
fn dates_are_written_out() {
    let notices = shipped();
    assert!(
        notices
            .get("1.0", Language::Nb)
            .unwrap()
            .text
            .contains("gjelder fra 5. april 2022.")
    );
    assert!(
        notices
            .get("1.1", Language::En)
            .unwrap()
            .text
            .contains("from 1 November 2026.")
    );
}
