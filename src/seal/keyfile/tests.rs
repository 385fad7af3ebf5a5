use std::os::unix::fs::symlink;

use super::*;
use crate::seal::{KeyName, KeyPurpose};

fn name(text: &str) -> KeyName {
    text.parse().expect("a key of the table")
}

fn file() -> KeyFile {
    KeyFile::generate("2026-11-24").expect("randomness")
}

/// A ring goes from one key to the next in these steps only, and a number is never used again.
#[test]
fn a_key_is_added_then_promoted_then_taken_out() {
    let mut file = file();
    let second = file.add(KeyPurpose::Sealing, 0, "").expect("a second key");
    assert_eq!(second, name("sealing-2"));
    assert!(file.is_waiting(second));
    assert_eq!(
        file.add(KeyPurpose::Sealing, 0, "").err(),
        Some(KeyChangeError::Waiting(second))
    );
    for in_use in ["sealing-1", "sealing-2"] {
        let refused = file.remove(name(in_use));
        assert_eq!(refused, Err(KeyChangeError::InUse(name(in_use))));
    }
    file.promote(second).expect("it waits");
    assert_eq!(
        file.promote(name("sealing-1")),
        Err(KeyChangeError::Older(name("sealing-1")))
    );
    file.remove(name("sealing-1")).expect("it is old");
    assert_eq!(
        file.remove(name("sealing-1")),
        Err(KeyChangeError::Unknown(name("sealing-1")))
    );
    let third = file.add(KeyPurpose::Sealing, 0, "").expect("a third key");
    assert_eq!(third, name("sealing-3"));
}

/// A look-up computes a value for each index key: there are two at most.
#[test]
fn a_ring_has_two_index_keys_at_most() {
    let mut file = file();
    let second = file.add(KeyPurpose::Index, 0, "").expect("a second key");
    file.promote(second).expect("it waits");
    assert_eq!(
        file.add(KeyPurpose::Index, 0, "").err(),
        Some(KeyChangeError::TooMany("index"))
    );
    file.ring(Path::new(""))
        .expect("a ring with two index keys");
    let third = KeyEntry::generate(3, 1, "").expect("randomness");
    file.index.push(third);
    assert!(file.ring(Path::new("")).is_err());
}

/// Names are what people type: nothing else is one.
#[test]
fn a_key_name_is_purpose_and_number() {
    assert_eq!(name("index-12").to_string(), "index-12");
    for wrong in [
        "",
        "2",
        "sealing",
        "sealing-",
        "sealing-x",
        "sealing--1",
        "signing-1",
    ] {
        assert!(wrong.parse::<KeyName>().is_err(), "{wrong}");
    }
}

/// A file of the first version, without generations and days, is a ring of generation 1.
#[test]
fn a_file_of_the_first_version_is_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("keys.toml");
    let key = BASE64.encode(&[7; KEY_LEN]);
    let text = format!(
        "format = 1\nprimary_sealing = 1\nprimary_index = 1\n\n[[sealing]]\nid = 1\n\
         key = \"{key}\"\n\n[[index]]\nid = 1\nkey = \"{key}\"\n"
    );
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
    let ring = KeyRing::load(&path).expect("a ring");
    assert_eq!(ring.facts().generation, 1);
    assert!(ring.facts().keys.iter().all(|key| key.generation == 1));
}

/// The file is replaced as a whole, for its owner only, whatever an earlier attempt left beside it; what is
/// there at any time is the old ring or the new one.
#[test]
fn a_changed_ring_takes_the_place_of_the_old_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("keys.toml");
    let file = file();
    file.create(&path).expect("a new file");
    assert!(file.create(&path).is_err(), "never over another ring");
    // What a crash left, and what somebody put in its place to have the keys written elsewhere.
    let elsewhere = dir.path().join("elsewhere");
    symlink(&elsewhere, dir.path().join("keys.new")).expect("a link");
    let mut file = file.next(6);
    file.add(KeyPurpose::Sealing, 8, "2026-11-24")
        .expect("a key");
    file.replace(&path).expect("replaced");
    assert!(!elsewhere.exists());
    let mode = fs::metadata(&path)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let read = KeyFile::load(&path).expect("a ring");
    assert_eq!(read.generation(), 7);
    let keys: Vec<_> = read
        .keys()
        .map(|(key, made)| (key.to_string(), made.to_owned()))
        .collect();
    let day = || "2026-11-24".to_owned();
    assert_eq!(
        keys,
        [
            ("sealing-1".to_owned(), day()),
            ("sealing-9".to_owned(), day()),
            ("index-1".to_owned(), day()),
        ]
    );
    let left: Vec<_> = fs::read_dir(dir.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["keys.toml"]);
}
