//! What lies on a disk and may come back damaged or written by hand: sealed leads, key rings, configurations.

use std::{path::Path, sync::LazyLock};

use aws_lc_rs::aead::{NONCE_LEN, Nonce};
use clap::Parser as _;
use uuid::Uuid;

use super::{choice, untold_of};
use crate::{
    cli::Cli,
    config::Config,
    domain::lead::{Content, LeadId},
    seal::{
        KeyFile, KeyRing,
        envelope::{aad, seal, unseal},
    },
    store::StoreUrl,
};

/// Of no secret, so that a corpus can be made again.
const RING: &str = "format = 1\nprimary_sealing = 1\nprimary_index = 1\n\
    sealing = [{ id = 1, key = \"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\" }]\n\
    index = [{ id = 1, key = \"CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=\" }]\n";
const NONCE: [u8; NONCE_LEN] = [7; NONCE_LEN];

static KEYS: LazyLock<KeyRing> = LazyLock::new(|| {
    let Some(ring) = ring(RING) else {
        panic!("a key ring that is none");
    };
    ring
});

fn ring(text: &str) -> Option<KeyRing> {
    KeyFile::parse(text).ok()?.ring(Path::new("keys")).ok()
}

/// A sealed blob, what would be in one, or the content of a lead; the first byte says which.
pub(super) fn envelope(bytes: &[u8]) {
    let (form, bytes) = choice(bytes);
    let id = LeadId::from(Uuid::from_u128(7));
    let (key_id, key) = KEYS.primary();
    match form % 3 {
        0 => drop(unseal(&KEYS, id, bytes)),
        1 => {
            let mut blob = [&[1], &key_id.to_be_bytes()[..], &NONCE, bytes].concat();
            let header = blob.len() - bytes.len();
            let nonce = Nonce::assume_unique_for_key(NONCE);
            let sealed = &mut blob[header..];
            let Ok(tag) = key.seal_in_place_separate_tag(nonce, aad(key_id, id), sealed) else {
                panic!("sealing failed");
            };
            blob.extend_from_slice(tag.as_ref());
            if let Ok(content) = unseal(&KEYS, id, &blob) {
                let again = seal(key, key_id, id, content.fields(), NONCE);
                assert!(unseal(&KEYS, id, &again) == Ok(content));
            }
        }
        _ => {
            let text = String::from_utf8_lossy(bytes);
            let mut fields = text.split('\n').map(str::to_owned);
            let mut field = || fields.next().unwrap_or_default();
            let content = Content {
                name: field(),
                company: field(),
                phone: field(),
                email: field(),
            };
            let blob = seal(key, key_id, id, content.fields(), NONCE);
            assert!(unseal(&KEYS, id, &blob) == Ok(content));
        }
    }
}

/// The text of a key ring. What is wrong with it is a constant.
pub(super) fn key_ring(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(file) = KeyFile::parse(text) else {
        return;
    };
    let written = toml::to_string(&file).unwrap_or_default();
    let again = KeyFile::parse(&written).map(|file| toml::to_string(&file));
    assert!(again == Ok(Ok(written.clone())));
    let facts = ring(text).map(|ring| format!("{:?}", ring.facts()));
    let again = ring(&written).map(|ring| format!("{:?}", ring.facts()));
    assert!(facts == again);
}

/// The text of a configuration. Its keys may be told, its values not.
pub(super) fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut values = Vec::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        strings(&toml::Value::Table(table), &mut values);
    }
    let parts: Vec<_> = values.iter().map(String::as_bytes).collect();
    untold_of(bytes, &parts, |bytes| {
        let text = std::str::from_utf8(bytes).ok()?;
        let error = Config::from_text(text).err()?.to_string();
        // A key that nobody knows is told, and where one has the word of a value it would pass for it.
        let unknown = error.split_once("unknown field `");
        let (before, after) = unknown.map_or((&*error, ""), |(before, key)| {
            (before, key.split_once('`').unwrap_or_default().1)
        });
        Some([before, after].concat().into_bytes())
    });
}

fn strings(value: &toml::Value, found: &mut Vec<String>) {
    match value {
        toml::Value::String(text) => found.push(text.clone()),
        toml::Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        toml::Value::Table(table) => table.values().for_each(|item| strings(item, found)),
        _ => {}
    }
}

/// The arguments of a command, one to a line, which are read as the environment's are; and the URL of a database.
pub(super) fn command_line(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let arguments = std::iter::once("lead-intake").chain(text.split('\n'));
    drop(Cli::try_parse_from(arguments).map_err(|error| error.to_string()));
    if let Ok(url) = text.parse::<StoreUrl>() {
        let told = format!("{url} {url:?}");
        let is_secret = matches!(url, StoreUrl::Postgres(_));
        assert!(!is_secret || told == "postgres postgres");
    }
}
