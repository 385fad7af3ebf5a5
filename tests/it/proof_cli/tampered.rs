//! Every field of a receipt is either covered by the proof or named as not covered.

use serde_json::{Value, json};

use super::*;

/// A place in the JSON, as keys and positions.
type Place = Vec<String>;

/// Every way in which the JSON differs in one place: a value changed, a list shorter, longer or turned around.
fn tampered(whole: &Value) -> Vec<(Place, Value)> {
    let mut places = Vec::new();
    walk(whole, &mut Vec::new(), &mut places);
    let mut all = Vec::new();
    for place in places {
        let pointer = place
            .iter()
            .fold(String::new(), |pointer, step| pointer + "/" + step);
        for value in others(whole.pointer(&pointer).unwrap()) {
            let mut other = whole.clone();
            *other.pointer_mut(&pointer).unwrap() = value;
            all.push((place.clone(), other));
        }
    }
    all
}

fn walk(value: &Value, here: &mut Place, places: &mut Vec<Place>) {
    places.push(here.clone());
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| (at.to_string(), item))
            .collect(),
        _ => Vec::new(),
    };
    for (step, value) in inner {
        here.push(step);
        walk(value, here, places);
        here.pop();
    }
}

/// Other values of the same kind.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let mut all = Vec::new();
            // The first, one in the middle, the last character.
            for at in [0, text.len() / 2, text.len().saturating_sub(1)] {
                let mut bytes = text.clone().into_bytes();
                if let Some(byte) = bytes.get_mut(at).filter(|byte| byte.is_ascii()) {
                    *byte = if *byte == b'1' { b'2' } else { b'1' };
                    all.push(json!(String::from_utf8(bytes).unwrap()));
                }
            }
            if text.contains("ERASURE_OUTCOME") {
                all.extend(
                    ["UNSPECIFIED", "ERASED", "RETAINED", "NEEDS_CONFIRMATION"]
                        .map(|word| json!(format!("ERASURE_OUTCOME_{word}"))),
                );
            }
            if text.contains("ERASURE_GROUND") {
                all.push(json!("ERASURE_GROUND_OBJECTION"));
            }
            if text.contains("PROOF_ABSENCE") {
                all.push(json!("PROOF_ABSENCE_CONTRADICTED"));
            }
            all.push(json!(""));
            all.retain(|other| other != value);
            all
        }
        Value::Number(number) => vec![json!(number.as_i64().unwrap() + 1)],
        Value::Bool(bool) => vec![json!(!bool)],
        Value::Array(items) => {
            let mut all = Vec::new();
            for at in 0..items.len() {
                let mut fewer = items.clone();
                all.push(Value::Array({
                    fewer.remove(at);
                    fewer
                }));
                let mut more = items.clone();
                more.insert(at, items[at].clone());
                all.push(Value::Array(more));
            }
            if items.len() > 1 {
                all.push(items.iter().rev().cloned().collect());
            }
            if items.iter().all(Value::is_string) {
                let mut more = items.clone();
                more.push(json!("00".repeat(32)));
                all.push(Value::Array(more));
            }
            all
        }
        // Without one of its fields; without it all is the case of the object around it.
        Value::Object(fields) => {
            let is_default = |value: &Value| {
                [json!(""), json!("0"), json!(0), json!(false), json!([])].contains(value)
                    || value
                        .as_str()
                        .is_some_and(|text| text.ends_with("_UNSPECIFIED"))
            };
            let filled = fields.iter().filter(|(_, value)| !is_default(value));
            let without = filled.map(|(key, _)| {
                let mut fewer = fields.clone();
                fewer.remove(key);
                Value::Object(fewer)
            });
            without.collect()
        }
        Value::Null => Vec::new(),
    }
}

/// Where a difference is named as not covered rather than caught: the word under which it is named.
fn named(place: &Place, whole: &Value, other: &Value) -> Option<&'static str> {
    let is_gone = |field: &str| whole[field] != other[field];
    match place.first().map(String::as_str) {
        Some("recipients") => Some("recipients"),
        None if is_gone("recipients") => Some("recipients"),
        Some("cleanUp") => Some("clean-up"),
        None if is_gone("cleanUp") => Some("clean-up"),
        Some("proof") => {
            let same = |field: &str| whole["proof"][field] == other["proof"][field];
            (!same("sinceSize") || !same("consistency")).then_some("consistency")
        }
        _ => None,
    }
}

/// A3, Art. 5(2): a receipt that differs in anything is not proven, unless what differs is named as not covered; so
/// nobody can take for proven what is not.
#[tokio::test(flavor = "multi_thread")]
async fn a3_whatever_is_changed_in_a_receipt_is_caught_or_named() {
    let mut office = Office::new().await;
    office.keep_checkpoint("older").await;
    office.erase().await;
    office.keep(&["--since", "@older"]).await;
    let path = office.path("receipt.json");
    let whole: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let (mut caught, mut uncovered) = (0, 0);
    for (place, other) in tampered(&whole) {
        fs::write(&path, other.to_string()).unwrap();
        let ran = office.offline(&VERIFY).await;
        match (ran.code, named(&place, &whole, &other)) {
            (Some(1 | 3), _) => caught += 1,
            (Some(0), Some(name)) => {
                assert!(
                    ran.out.contains(&format!("not covered: {name}")),
                    "{place:?}"
                );
                uncovered += 1;
            }
            _ => panic!("{place:?} can be changed: {}\n{other}", ran.out),
        }
        // With the earlier checkpoint at hand, only what is told of recipients and the disk is not covered.
        let tied = [&VERIFY[..], &["--checkpoint", "@older"]].concat();
        let ran = office.offline(&tied).await;
        let is_caught = ran.code != Some(0);
        assert!(
            is_caught
                || matches!(
                    named(&place, &whole, &other),
                    Some("recipients" | "clean-up")
                ),
            "{place:?}: {}",
            ran.out
        );
    }
    assert!(
        caught > 100 && uncovered > 10,
        "{caught} caught, {uncovered} not covered"
    );

    // An entry less in both lists: whether there were more is named too.
    let mut fewer = whole.clone();
    for list in ["receipt", "proof"] {
        fewer[list]["entries"].as_array_mut().unwrap().pop();
    }
    fs::write(&path, fewer.to_string()).unwrap();
    let ran = office.offline(&VERIFY).await.with_code(0);
    assert!(ran.out.contains("not covered: completeness"), "{}", ran.out);
}
