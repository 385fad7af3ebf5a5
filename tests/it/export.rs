//! Exports as documents: what stands in them, compared with files of this directory's `golden/`, and read by
//! parsers that are not ours: html5gum (HTML), oxjsonld (JSON-LD), csv (CSV) and `serde_json` (jCard).
//!
//! After a wanted change of the words, `LEAD_INTAKE_BLESS=1 ./scripts/test export` writes the files anew; read the
//! difference before committing it.

use std::{collections::BTreeSet, path::Path};

use html5gum::{Token, Tokenizer};
use lead_intake::{
    pb::{self, ExportFormat, ExportKind},
    token::Role,
};
use oxjsonld::JsonLdParser;
use serde_json::Value;

use crate::{steps::*, support::*};

/// Every document that is offered.
const DOCUMENTS: [(ExportKind, ExportFormat, &str, &str); 5] = [
    (
        ExportKind::Access,
        ExportFormat::Json,
        "application/ld+json",
        "access-2026-11-23.json",
    ),
    (
        ExportKind::Access,
        ExportFormat::Html,
        "text/html; charset=utf-8",
        "access-2026-11-23.html",
    ),
    (
        ExportKind::Portability,
        ExportFormat::Json,
        "application/ld+json",
        "portability-2026-11-23.json",
    ),
    (
        ExportKind::Portability,
        ExportFormat::Jcard,
        "application/vcard+json",
        "portability-2026-11-23.jcard.json",
    ),
    (
        ExportKind::Portability,
        ExportFormat::Csv,
        "text/csv; charset=utf-8; header=present",
        "portability-2026-11-23.csv",
    ),
];

/// Names that a document must carry as they are: three scripts, marks that combine, a face of several code
/// points, and one that would be a program.
const NAMES: [&str; 5] = [
    "Kari Nordmann",
    "فاطمة الزهراء",
    "李小龍 (Bruce)",
    "Zoë Nguyễn 👩🏽\u{200d}💻",
    "<script>alert('x')</script> & \"Co\"",
];
/// The attributes of a page: none of them loads or runs anything.
const ATTRIBUTES: [&str; 9] = [
    "charset",
    "class",
    "content",
    "datetime",
    "href",
    "http-equiv",
    "lang",
    "name",
    "scope",
];
const EMAIL: &str = "kari@example.no";

async fn export(replica: &Replica, request: pb::ExportSubjectRequest) -> pb::ExportSubjectResponse {
    let made = replica.privacy().export_subject(request).await.unwrap();
    made.into_inner()
}

/// A document about whoever has this mailbox.
async fn document(
    replica: &Replica,
    email: &str,
    kind: ExportKind,
    format: ExportFormat,
    language: &str,
) -> String {
    let request = pb::ExportSubjectRequest {
        request: subject(email),
        kind: kind.into(),
        format: format.into(),
        language: language.to_owned(),
    };
    String::from_utf8(export(replica, request).await.content).unwrap()
}

/// Every name of the table under one mailbox, a company without a name, and a lead that is restricted for two
/// reasons; two clients were given some of them. Gives the identifiers.
async fn many_leads(world: &World, replica: &Replica) -> Vec<String> {
    let mut ids = Vec::new();
    for (place, name) in NAMES.iter().enumerate() {
        world.clock.advance_seconds(3600);
        let mut form = form(name, EMAIL);
        if place == 0 {
            form.company = "Nordmann & Sønner AS".into();
            form.phone = "406 05 600".into();
            form.consent = true;
            form.lawful_basis = pb::LawfulBasis::Consent.into();
        }
        ids.push(submit(replica, form).await);
    }
    world.clock.advance_seconds(3600);
    let mut company = form("", EMAIL);
    company.company = "=Regnskap; AS".into();
    company.phone = "+4722123456".into();
    ids.push(submit(replica, company).await);
    pull_all(&mut replica.crm(), "", 0).await;
    let token = world
        .new_token(&replica.store, "nettbutikk-crm", Role::Crm)
        .await;
    get_lead(&mut replica.crm_as(token.expose()), &ids[0])
        .await
        .unwrap();
    world.clock.advance_seconds(60);
    ids.push(submit(replica, form("Kari Nordmann", EMAIL)).await);
    for reason in [
        pb::RestrictionReason::AccuracyContested,
        pb::RestrictionReason::SubjectLegalClaim,
    ] {
        let request = pb::RestrictLeadRequest {
            request_id: new_id().to_string(),
            lead_id: ids[6].clone(),
            reason: reason.into(),
            ..Default::default()
        };
        replica.privacy().restrict_lead(request).await.unwrap();
    }
    ids
}

/// Compares a text with a file, but for the identifiers, which are random.
fn assert_golden(name: &str, text: &str, ids: &[String]) {
    let mut text = text.to_owned();
    for (place, id) in ids.iter().enumerate() {
        text = text.replace(id, &format!("lead-{}", place + 1));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/golden")
        .join(name);
    if std::env::var_os("LEAD_INTAKE_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(text == golden, "{name} is not as it was:\n{text}");
}

/// Keys under which no text of ours stands.
const KEYWORDS: [&str; 3] = ["@context", "@type", "@id"];

/// Every text of a JSON document but keys, contexts, types and identifiers.
fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(found.insert(text.clone())),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(key, _)| !KEYWORDS.contains(&&***key)) {
                assert!(!value.is_null(), "{key} is dropped by JSON-LD");
                texts(value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a JSON-LD processor understands of a document: the objects of its statements.
pub fn understood(document: &str) -> BTreeSet<String> {
    let quads = JsonLdParser::new()
        .for_slice(document.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let objects = quads.into_iter().map(|quad| match quad.object {
        oxrdf::Term::Literal(literal) => literal.value().to_owned(),
        other => other.to_string(),
    });
    objects.collect()
}

type Attributes = Vec<(String, String)>;

/// The text of a page, as a reader sees it, and its elements with their attributes.
fn read_page(page: &str) -> (String, Vec<(String, Attributes)>) {
    let (mut text, mut elements) = (String::new(), Vec::new());
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for Ok(token) in Tokenizer::new(page) {
        match token {
            Token::StartTag(tag) => {
                let attributes = tag.attributes.iter();
                let attributes = attributes.map(|(name, value)| (utf8(name), utf8(value)));
                elements.push((utf8(&tag.name), attributes.collect()));
            }
            Token::String(part) => text.push_str(&utf8(&part)),
            Token::Error(error) => panic!("{error:?}"),
            Token::EndTag(_) | Token::Doctype(_) | Token::Comment(_) => {}
        }
    }
    (text, elements)
}

/// A jCard as the vCard that it stands for (RFC 7095, 3): property, parameters, type and value of each line.
fn vcard(card: &Value) -> String {
    let mut lines = String::new();
    for property in card[1].as_array().unwrap() {
        let [name, of, value] = [0, 2, 3].map(|place| property[place].as_str().unwrap());
        assert_eq!(property[1], serde_json::json!({}));
        let name = name.to_uppercase();
        let line = if of == "uri" {
            format!("{name};VALUE=uri:{value}\r\n")
        } else {
            let escaped = value
                .replace('\\', r"\\")
                .replace(',', r"\,")
                .replace(';', r"\;");
            format!("{name}:{escaped}\r\n")
        };
        lines.push_str(&line);
    }
    format!("BEGIN:VCARD\r\n{lines}END:VCARD\r\n")
}

on_both! {
    /// Art. 15: the copy, in JSON-LD and as a page, in both languages, to the byte.
    async fn art_15_the_copy_to_the_byte(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let ids = many_leads(&world, &replica).await;
        for language in ["nb", "en"] {
            for (format, end) in [(ExportFormat::Json, "json"), (ExportFormat::Html, "html")] {
                let copy = document(&replica, EMAIL, ExportKind::Access, format, language).await;
                assert_golden(&format!("access.{language}.{end}"), &copy, &ids);
            }
        }
        replica.stop().await;
    }

    /// Art. 20: the data to take along, in each format, to the byte.
    async fn art_20_the_data_to_the_byte(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let ids = many_leads(&world, &replica).await;
        for (format, end) in [
            (ExportFormat::Json, "json"),
            (ExportFormat::Jcard, "jcard.json"),
            (ExportFormat::Csv, "csv"),
        ] {
            let data = document(&replica, EMAIL, ExportKind::Portability, format, "").await;
            // In the files, lines end as the repository's do; `art_20_rows` looks at those of CSV.
            assert_golden(&format!("portability.{end}"), &data.replace("\r\n", "\n"), &ids);
        }
        replica.stop().await;
    }

    /// Each document says what it is; its name and type say nothing of the person.
    async fn every_document_that_is_offered_is_made(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, EMAIL).await;
        for (kind, format, content_type, name) in DOCUMENTS {
            let request = pb::ExportSubjectRequest {
                request: subject(EMAIL),
                kind: kind.into(),
                format: format.into(),
                language: String::new(),
            };
            let made = export(&replica, request).await;
            assert_eq!(made.content_type, content_type);
            assert_eq!(made.file_name, format!("lead-intake-{name}"));
            assert_eq!(made.leads, 1);
            assert!(raw::contains(&made.content, EMAIL.as_bytes()));
        }
        replica.stop().await;
    }

    /// A JSON-LD processor understands every text of the documents: no key is dropped in silence.
    async fn art_15_json_ld_loses_nothing(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        many_leads(&world, &replica).await;
        for kind in [ExportKind::Access, ExportKind::Portability] {
            let made = document(&replica, EMAIL, kind, ExportFormat::Json, "").await;
            let mut written = BTreeSet::new();
            texts(&serde_json::from_str(&made).unwrap(), &mut written);
            let understood = understood(&made);
            let lost: Vec<_> = written
                .iter()
                .filter(|text| !understood.contains(*text) && !text.starts_with("eu-gdpr:A6-1-"))
                .collect();
            assert!(written.len() > 5 && lost.is_empty(), "{lost:?}");
            if kind == ExportKind::Access {
                assert!(understood.contains("<https://w3id.org/dpv/legal/eu/gdpr#A6-1-a>"));
            }
        }
        replica.stop().await;
    }

    /// The page shows every name as it is, runs nothing and loads nothing.
    async fn art_15_the_page_is_only_a_page(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        many_leads(&world, &replica).await;
        for language in ["nb", "en"] {
            let page = document(&replica, EMAIL, ExportKind::Access, ExportFormat::Html, language).await;
            let (text, elements) = read_page(&page);
            for name in NAMES {
                assert!(text.contains(name), "{name}");
            }
            let of_html = vec![("lang".to_owned(), language.to_owned())];
            assert!(elements.contains(&("html".to_owned(), of_html)));
            for (element, attributes) in &elements {
                assert!(!["script", "link", "img", "iframe", "form"].contains(&&**element), "{element}");
                for (name, value) in attributes {
                    assert!(ATTRIBUTES.contains(&&**name), "{name}");
                    let goes_out = name == "href";
                    assert!(!goes_out || value.starts_with("mailto:") || value.starts_with("https://"));
                }
            }
            assert!(!page.contains("url(") && !page.contains("@import"));
        }
        replica.stop().await;
    }

    /// Art. 20: a card for each lead, by RFC 7095; a company without a name is the card's. The vcard4 crate
    /// reads the cards as vCard 4.0, which is where a jCard comes from.
    async fn art_20_cards(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let cards = async || -> Value {
            let made = document(&replica, EMAIL, ExportKind::Portability, ExportFormat::Jcard, "").await;
            serde_json::from_str(&made).unwrap()
        };
        assert_eq!(cards().await, serde_json::json!([]));
        let mut company = form("", EMAIL);
        company.company = "Nordmann AS".into();
        company.phone = "40605600".into();
        submit(&replica, company).await;
        let card = serde_json::json!(["vcard", [
            ["version", {}, "text", "4.0"],
            ["kind", {}, "text", "org"],
            ["fn", {}, "text", "Nordmann AS"],
            ["org", {}, "text", "Nordmann AS"],
            ["tel", {}, "uri", "tel:+4740605600"],
            ["email", {}, "text", EMAIL],
        ]]);
        assert_eq!(cards().await, card);
        world.clock.advance_seconds(1);
        submit(&replica, form(NAMES[1], EMAIL)).await;
        let two = cards().await;
        assert_eq!((two[0].clone(), two.as_array().unwrap().len()), (card, 2));
        assert_eq!(two[1][1][2], serde_json::json!(["fn", {}, "text", NAMES[1]]));
        let read = vcard4::parse(two.as_array().unwrap().iter().map(vcard).collect::<String>()).unwrap();
        let names: Vec<&str> = read.iter().map(|card| &*card.formatted_name[0].value).collect();
        assert_eq!(names, ["Nordmann AS", NAMES[1]]);
        assert!(read.iter().all(|card| card.email[0].value == EMAIL));
        assert_eq!(read[0].kind.as_ref().unwrap().value.to_string(), "org");
        assert_eq!((read[0].tel.len(), read[1].tel.len()), (1, 0));
        replica.stop().await;
    }

    /// Art. 20: the csv crate reads every value back; phone numbers are URIs, as the header says.
    async fn art_20_rows(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        many_leads(&world, &replica).await;
        let made = document(&replica, EMAIL, ExportKind::Portability, ExportFormat::Csv, "").await;
        assert!(made.split_inclusive('\n').all(|line| line.ends_with("\r\n")));
        let mut reader = csv::Reader::from_reader(made.as_bytes());
        assert_eq!(reader.headers().unwrap(), ["name", "company", "phone_uri", "email"].as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let names: Vec<&str> = rows.iter().map(|row| &row[0]).collect();
        assert_eq!(names, [&NAMES[..], &["", "Kari Nordmann"]].concat());
        assert_eq!((&rows[0][2], &rows[5][1]), ("tel:+4740605600", "'=Regnskap; AS"));
        assert!(rows.iter().all(|row| &row[3] == EMAIL));
        replica.stop().await;
    }

    /// Art. 15(4), 20(4): in no document is there a byte of who shares the phone or the mailbox.
    async fn art_15_4_no_document_shows_a_neighbour(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let contact = |name: &str, email: &str| {
            let mut form = form(name, email);
            form.phone = "22123456".into();
            form
        };
        submit(&replica, contact("Astrid Fjellheim", "felles@example.no")).await;
        submit(&replica, contact("Brage Granli", "felles@example.no")).await;
        submit(&replica, contact("Cecilie Haugen", "cecilie@example.no")).await;
        for (kind, format, ..) in DOCUMENTS {
            let mut request = subject("felles@example.no").unwrap();
            let person = request.subject.as_mut().unwrap();
            person.name = "Astrid Fjellheim".into();
            person.phone = "22123456".into();
            let request = pb::ExportSubjectRequest {
                request: Some(request),
                kind: kind.into(),
                format: format.into(),
                language: String::new(),
            };
            let made = export(&replica, request).await;
            assert_eq!((made.leads, made.unconfirmed.len()), (1, 2));
            assert!(raw::contains(&made.content, "Fjellheim".as_bytes()));
            for value in ["Brage", "Granli", "Cecilie", "Haugen", "cecilie@"] {
                assert!(!raw::contains(&made.content, value.as_bytes()), "{value} in {format:?}");
            }
            for lead in &made.unconfirmed {
                assert!(!raw::contains(&made.content, lead.lead_id.as_bytes()));
            }
        }
        replica.stop().await;
    }

    /// Z1: a document about an erased person is, to the byte, that about somebody who was never there.
    async fn z1_no_document_tells_erased_from_unknown(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        submit_mail(&replica, EMAIL).await;
        pull_all(&mut replica.crm(), "", 0).await;
        erase(&replica, EMAIL).await;
        for (kind, format, ..) in DOCUMENTS {
            for language in ["nb", "en"] {
                let erased = document(&replica, EMAIL, kind, format, language).await;
                let unknown = document(&replica, "aldri@example.no", kind, format, language).await;
                assert_eq!(erased, unknown);
                assert!(!erased.is_empty());
            }
        }
        replica.stop().await;
    }

    /// Art. 15, 18: a restricted lead is shown to the person, and why it is restricted, in their language.
    async fn art_18_the_person_sees_what_is_restricted(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let id = submit_mail(&replica, EMAIL).await;
        let request = pb::RestrictLeadRequest {
            request_id: new_id().to_string(),
            lead_id: id,
            reason: pb::RestrictionReason::ControllerLegalClaim.into(),
            ..Default::default()
        };
        replica.privacy().restrict_lead(request).await.unwrap();
        for (language, why) in [("nb", "rettskrav (artikkel 17 nr. 3"), ("en", "legal claim (Article 17(3)(e)")] {
            for format in [ExportFormat::Json, ExportFormat::Html] {
                let copy = document(&replica, EMAIL, ExportKind::Access, format, language).await;
                assert!(copy.contains("Kari Nordmann") && copy.contains(why), "{copy}");
            }
        }
        replica.stop().await;
    }
}
