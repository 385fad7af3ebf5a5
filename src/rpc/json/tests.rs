//! What is read as JSON, and what is said of the rest.

use tonic_types::StatusExt as _;

use super::*;

fn message(name: &str) -> MessageDescriptor {
    let contract = CONTRACT.as_ref().unwrap();
    let name = format!("leadintake.v1.{name}");
    contract.get_message_by_name(&name).unwrap()
}

fn refused(name: &str, json: &str) -> Status {
    let mut encoded = BytesMut::new();
    read(&message(name), json.as_bytes(), &mut encoded).expect_err(json)
}

/// The reason and the metadata of an error.
fn told(name: &str, json: &str) -> (String, Vec<(String, String)>) {
    let details = refused(name, json).get_error_details();
    let info = details.error_info().unwrap();
    let mut metadata: Vec<_> = info.metadata.clone().into_iter().collect();
    metadata.sort();
    (info.reason.clone(), metadata)
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Both names of a field, enum values by name or number, times, masks and absent values are read.
#[test]
fn every_canonical_form_is_read() {
    let mut encoded = BytesMut::new();
    let json = r#"{"requestId": "r", "lawful_basis": "LAWFUL_BASIS_CONSENT", "consent": true, "name": null}"#;
    read(&message("SubmitLeadRequest"), json.as_bytes(), &mut encoded).unwrap();
    let read_back = pb::SubmitLeadRequest::decode(&encoded[..]).unwrap();
    assert_eq!(read_back.request_id, "r");
    assert_eq!(read_back.lawful_basis(), pb::LawfulBasis::Consent);
    assert!(read_back.consent);

    encoded.clear();
    let json = r#"{"request": {"receivedAt": "2026-11-24T12:00:00.5+01:00", "subject": {"leadIds": ["a", "b"]}}}"#;
    read(
        &message("FindSubjectRequest"),
        json.as_bytes(),
        &mut encoded,
    )
    .unwrap();
    let asked = pb::FindSubjectRequest::decode(&encoded[..])
        .unwrap()
        .request
        .unwrap();
    assert_eq!(asked.received_at.unwrap().nanos, 500_000_000);
    assert_eq!(asked.subject.unwrap().lead_ids, ["a", "b"]);
}

/// Every field with a value of the wrong kind is named at once, inner ones by their path, and no value is repeated.
#[test]
fn every_value_of_the_wrong_kind_is_named() {
    let json =
        r#"{"consent": "yes", "lawfulBasis": "KARI", "name": 7, "email": "kari@example.no"}"#;
    let found = pairs(&[
        ("consent", "WRONG_KIND"),
        ("lawful_basis", "UNKNOWN_VALUE"),
        ("name", "WRONG_KIND"),
    ]);
    assert_eq!(
        told("SubmitLeadRequest", json),
        ("SEVERAL_VIOLATIONS".to_owned(), found)
    );

    let json =
        r#"{"request": {"receivedAt": "soon", "subject": {"leadIds": "kari", "email": []}}}"#;
    let found = pairs(&[
        ("request.received_at", "TIME_INVALID"),
        ("request.subject.email", "WRONG_KIND"),
        ("request.subject.lead_ids", "WRONG_KIND"),
    ]);
    assert_eq!(told("FindSubjectRequest", json).1, found);
    let said = format!("{:?}", refused("FindSubjectRequest", json));
    assert!(!said.contains("kari") && !said.contains("soon"), "{said}");
}

/// A text that is no JSON, or names what the contract does not have, is told by its place.
#[test]
fn the_place_of_a_fault_is_told() {
    let place = |line, column| pairs(&[("column", column), ("line", line)]);
    for (json, reason, at) in [
        (
            "{\n  \"name\": \"Kari\",\n  \"nmae\": 1}",
            "UNKNOWN_FIELD",
            place("3", "8"),
        ),
        (r#"{"name": "Kari""#, "MALFORMED_JSON", place("1", "15")),
        (r#"{"name": "Kari"} x"#, "MALFORMED_JSON", place("1", "18")),
        ("", "MALFORMED_JSON", place("1", "0")),
        ("[]", "MALFORMED_JSON", place("1", "0")),
    ] {
        assert_eq!(
            told("SubmitLeadRequest", json),
            (reason.to_owned(), at),
            "{json}"
        );
    }
    // Deeper than anything of the contract, and than a stack is.
    let deep = "[".repeat(100_000);
    assert_eq!(told("SubmitLeadRequest", &deep).0, "MALFORMED_JSON");
    assert_eq!(
        told("SubmitLeadRequest", "{\"request\": {}}").0,
        "UNKNOWN_FIELD"
    );
}

/// What is written is read again as the same.
#[test]
fn an_answer_is_written_whole() {
    let answer = pb::SubmitLeadResponse {
        lead_id: "l".to_owned(),
        submitted_at: Some(prost_types::Timestamp {
            seconds: 1,
            nanos: 0,
        }),
        lawful_basis: pb::LawfulBasis::Consent.into(),
        ..Default::default()
    };
    let json = write(&message("SubmitLeadResponse"), &answer.encode_to_vec()).unwrap();
    let expected = r#"{"leadId":"l","submittedAt":"1970-01-01T00:00:01Z","lawfulBasis":"LAWFUL_BASIS_CONSENT","consentReceipt":""}"#;
    assert_eq!(str::from_utf8(&json).unwrap(), expected);
}
