//! Submitting a lead: what is taken, what is refused, and what a repeat does.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use lead_intake::{clock::Clock as _, pb, token::Role};
use prost::Message as _;
use tonic::{Code, Status};

use crate::support::*;

const SUBMIT: &str = "/leadintake.v1.IntakeService/SubmitLead";
/// Stands in every value that must not come back.
const CANARY: &str = "kanarifugl";

/// A form with every content field filled in.
fn full_form() -> pb::SubmitLeadRequest {
    pb::SubmitLeadRequest {
        company: "Nordmann AS".to_owned(),
        phone: "+47 40 60 56 00".to_owned(),
        consent: true,
        ..form("Kari Nordmann", "kari@example.no")
    }
}

async fn submit(
    replica: &Replica,
    form: &pb::SubmitLeadRequest,
) -> Result<pb::SubmitLeadResponse, Status> {
    let answer = replica.intake().submit_lead(form.clone()).await;
    answer.map(tonic::Response::into_inner)
}

/// The submissions that the ledger knows of, and that the CRM was not told of before.
async fn submitted(replica: &Replica) -> usize {
    let mut after_sequence = 0;
    let mut count = 0;
    loop {
        let request = pb::ListEntriesRequest {
            after_sequence,
            ..Default::default()
        };
        let page = replica
            .ledger()
            .list_entries(request)
            .await
            .unwrap()
            .into_inner();
        let submissions = page
            .entries
            .iter()
            .filter(|e| e.kind() == pb::EntryKind::Submitted);
        count += submissions.count();
        if !page.has_more {
            return count;
        }
        after_sequence = page.entries.last().unwrap().sequence;
    }
}

async fn get(replica: &Replica, lead_id: &str) -> pb::Lead {
    let request = pb::GetLeadRequest {
        lead_id: lead_id.to_owned(),
    };
    let answer = replica.crm().get_lead(request).await.unwrap();
    answer.into_inner().lead.unwrap()
}

async fn erase(replica: &Replica, email: &str) {
    let request = pb::EraseSubjectRequest {
        request: subject(email),
        ground: pb::ErasureGround::NoLongerNecessary.into(),
        ..Default::default()
    };
    let erased = replica.privacy().erase_subject(request).await.unwrap();
    assert_eq!(erased.into_inner().leads.len(), 1, "one lead of {email}");
}

fn refusal(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

/// Moves the world's clock to a time.
fn set_clock(world: &World, to: &str) {
    let to: Timestamp = to.parse().unwrap();
    world
        .clock
        .advance_seconds(to.as_second() - world.clock.now().as_second());
}

type Change = fn(&mut pb::SubmitLeadRequest);

/// What is refused, and why: the change to a form that is otherwise right, and each field's reason.
const REFUSED: &[(Change, &[(&str, &str)])] = &[
    (|f| f.request_id.clear(), &[("request_id", "REQUIRED")]),
    (
        |f| f.request_id = CANARY.into(),
        &[("request_id", "UUID_INVALID")],
    ),
    (
        |f| f.request_id = new_id().simple().to_string(),
        &[("request_id", "UUID_INVALID")],
    ),
    (
        |f| f.request_id = new_id().braced().to_string(),
        &[("request_id", "UUID_INVALID")],
    ),
    (|f| f.request_id += "0", &[("request_id", "UUID_INVALID")]),
    (
        |f| f.name = format!("{CANARY}\nx"),
        &[("name", "CONTROL_CHARACTER")],
    ),
    (
        |f| f.name = format!("{CANARY}\r\nx"),
        &[("name", "CONTROL_CHARACTER")],
    ),
    (
        |f| f.name = format!("{CANARY}\0x"),
        &[("name", "CONTROL_CHARACTER")],
    ),
    (
        |f| f.name = format!("{CANARY}\u{1b}[2J"),
        &[("name", "CONTROL_CHARACTER")],
    ),
    (
        |f| f.name = format!("{CANARY}\u{85}x"),
        &[("name", "CONTROL_CHARACTER")],
    ),
    (
        |f| f.name = format!("{CANARY}\u{2028}x"),
        &[("name", "CONTROL_CHARACTER")],
    ),
    (
        |f| f.name = format!("{CANARY}\u{202e}x"),
        &[("name", "CONTROL_CHARACTER")],
    ),
    (
        |f| f.name = CANARY.repeat(20) + "x",
        &[("name", "TOO_LONG")],
    ),
    (|f| f.name = "ø".repeat(201), &[("name", "TOO_LONG")]),
    (|f| f.name = CANARY.repeat(5000), &[("name", "TOO_LONG")]),
    (
        |f| f.company = format!("{CANARY}\tx"),
        &[("company", "CONTROL_CHARACTER")],
    ),
    (
        |f| f.company = CANARY.repeat(21),
        &[("company", "TOO_LONG")],
    ),
    (|f| f.email = CANARY.into(), &[("email", "EMAIL_INVALID")]),
    (
        |f| f.email = format!("{CANARY}@"),
        &[("email", "EMAIL_INVALID")],
    ),
    (
        |f| f.email = format!("@{CANARY}.no"),
        &[("email", "EMAIL_INVALID")],
    ),
    (
        |f| f.email = format!("x@{CANARY}"),
        &[("email", "EMAIL_INVALID")],
    ),
    (
        |f| f.email = format!("a b@{CANARY}.no"),
        &[("email", "EMAIL_INVALID")],
    ),
    (
        |f| f.email = format!("a@b@{CANARY}.no"),
        &[("email", "EMAIL_INVALID")],
    ),
    (
        |f| f.email = format!("\"{CANARY}\"@example.no"),
        &[("email", "EMAIL_INVALID")],
    ),
    (
        |f| f.email = format!("Kari <{CANARY}@example.no>"),
        &[("email", "EMAIL_INVALID")],
    ),
    (
        |f| f.email = format!("{CANARY}\n@example.no"),
        &[("email", "CONTROL_CHARACTER")],
    ),
    (
        |f| f.email = format!("{CANARY}@{}.no", "x".repeat(190)),
        &[("email", "TOO_LONG")],
    ),
    (|f| f.phone = CANARY.into(), &[("phone", "PHONE_INVALID")]),
    (|f| f.phone = "1234".into(), &[("phone", "PHONE_INVALID")]),
    (
        |f| f.phone = "40605600 ext. 12345".into(),
        &[("phone", "PHONE_INVALID")],
    ),
    (
        |f| f.phone = "+999 40605600".into(),
        &[("phone", "PHONE_INVALID")],
    ),
    (
        |f| f.phone = "40605600 / 40605601".into(),
        &[("phone", "PHONE_INVALID")],
    ),
    (
        |f| f.phone = "4060\u{7}5600".into(),
        &[("phone", "CONTROL_CHARACTER")],
    ),
    (|f| f.phone = "1".repeat(201), &[("phone", "TOO_LONG")]),
    (|f| f.lawful_basis = 0, &[("lawful_basis", "REQUIRED")]),
    (|f| f.lawful_basis = 3, &[("lawful_basis", "UNKNOWN_VALUE")]),
    (
        |f| f.lawful_basis = -1,
        &[("lawful_basis", "UNKNOWN_VALUE")],
    ),
    (
        |f| f.lawful_basis = i32::MAX,
        &[("lawful_basis", "UNKNOWN_VALUE")],
    ),
    (
        |f| f.notice_version.clear(),
        &[("notice_version", "REQUIRED")],
    ),
    (
        |f| f.notice_version = CANARY.into(),
        &[("notice_version", "UNKNOWN_VALUE")],
    ),
    (
        |f| f.notice_version = " 1.1".into(),
        &[("notice_version", "UNKNOWN_VALUE")],
    ),
    (
        |f| f.notice_version = CANARY.repeat(9),
        &[("notice_version", "TOO_LONG")],
    ),
    // Blank is absent, in whatever way it is blank.
    (
        |f| {
            f.name = " \u{200b}\u{a0}".into();
            f.company = "\u{feff}".into();
        },
        &[("name", "NAME_OR_COMPANY_REQUIRED")],
    ),
    (
        |f| {
            f.phone = "  ".into();
            f.email = "\u{200b}".into();
        },
        &[("email", "PHONE_OR_EMAIL_REQUIRED")],
    ),
    // A field that was filled in wrongly is named; that its alternative is empty is not.
    (
        |f| {
            f.name = format!("{CANARY}\0");
            f.company.clear();
        },
        &[("name", "CONTROL_CHARACTER")],
    ),
    (
        |f| {
            f.phone = CANARY.into();
            f.email.clear();
        },
        &[("phone", "PHONE_INVALID")],
    ),
    (
        |f| *f = pb::SubmitLeadRequest::default(),
        &[
            ("email", "PHONE_OR_EMAIL_REQUIRED"),
            ("lawful_basis", "REQUIRED"),
            ("name", "NAME_OR_COMPANY_REQUIRED"),
            ("notice_version", "REQUIRED"),
            ("request_id", "REQUIRED"),
        ],
    ),
    // All at once.
    (
        |f| {
            *f = pb::SubmitLeadRequest {
                request_id: CANARY.into(),
                name: format!("{CANARY}\nx"),
                company: CANARY.repeat(21),
                phone: CANARY.into(),
                email: CANARY.into(),
                lawful_basis: pb::LawfulBasis::Consent.into(),
                consent: false,
                notice_version: CANARY.into(),
            }
        },
        &[
            ("company", "TOO_LONG"),
            ("consent", "CONSENT_REQUIRED"),
            ("email", "EMAIL_INVALID"),
            ("name", "CONTROL_CHARACTER"),
            ("notice_version", "UNKNOWN_VALUE"),
            ("phone", "PHONE_INVALID"),
            ("request_id", "UUID_INVALID"),
        ],
    ),
];

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(field, why)| ((*field).to_owned(), (*why).to_owned()))
        .collect()
}

/// The values of a form that an answer must not repeat; short ones could stand there by chance.
fn values(form: &pb::SubmitLeadRequest) -> Vec<&str> {
    let all = [
        &form.request_id,
        &form.name,
        &form.company,
        &form.phone,
        &form.email,
    ];
    let mut values: Vec<&str> = all.into_iter().map(|value| &**value).collect();
    values.push(CANARY);
    values.retain(|value| value.trim().len() > 3);
    values
}

on_both! {
    /// A form that breaks a rule is refused with every field and its reason at once, not a word of what was
    /// sent comes back in text, details or headers, and nothing is stored.
    async fn a_broken_rule_is_named_and_nothing_is_repeated(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        for (place, (change, expected)) in REFUSED.iter().enumerate() {
            let mut form = full_form();
            change(&mut form);
            let status = submit(&replica, &form).await.expect_err(&format!("form {place}"));
            assert_eq!(status.code(), Code::InvalidArgument, "form {place}");
            assert_eq!(violations(&status), owned(expected), "form {place}");
            let reasons: BTreeSet<&str> = expected.iter().map(|(_, why)| *why).collect();
            let only = if reasons.len() == 1 { expected[0].1 } else { "SEVERAL_VIOLATIONS" };
            assert_eq!(reason(&status), only, "form {place}");
            let heard = raw::everything(&status);
            for value in values(&form) {
                assert!(!raw::contains(&heard, value.as_bytes()), "form {place} repeats a value");
            }
        }
        assert_eq!(submitted(&replica).await, 0);
        replica.stop().await;
    }

    /// Name or company, and phone or e-mail; a basis; and consent where the basis is consent: every
    /// combination of these is taken or refused by just these rules.
    async fn every_combination_follows_the_rules(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let mut taken = 0;
        for bits in 0..96 {
            let given = |bit: u32| bits & (1 << bit) != 0;
            let basis = bits / 32;
            let mut form = full_form();
            form.lawful_basis = basis;
            form.consent = given(4);
            let mut expected = Vec::new();
            for (bit, field) in [&mut form.name, &mut form.company, &mut form.phone, &mut form.email]
                .into_iter()
                .enumerate()
            {
                if !given(u32::try_from(bit).unwrap()) {
                    field.clear();
                }
            }
            if basis == 1 && !form.consent {
                expected.push(("consent", "CONSENT_REQUIRED"));
            }
            if !given(2) && !given(3) {
                expected.push(("email", "PHONE_OR_EMAIL_REQUIRED"));
            }
            if basis == 0 {
                expected.push(("lawful_basis", "REQUIRED"));
            }
            if !given(0) && !given(1) {
                expected.push(("name", "NAME_OR_COMPANY_REQUIRED"));
            }
            match submit(&replica, &form).await {
                Ok(answer) => {
                    assert!(expected.is_empty(), "{bits:07b} must be refused: {expected:?}");
                    assert_eq!(answer.lawful_basis, basis);
                    let lead = get(&replica, &answer.lead_id).await;
                    assert_eq!((lead.lawful_basis, lead.consent), (basis, form.consent));
                    let phone = form.phone.replace(' ', "");
                    let stored = [lead.name, lead.company, lead.phone, lead.email];
                    assert_eq!(stored, [form.name, form.company, phone, form.email]);
                    taken += 1;
                }
                Err(status) => {
                    assert_eq!(status.code(), Code::InvalidArgument, "{bits:07b}");
                    assert_eq!(violations(&status), owned(&expected), "{bits:07b}");
                }
            }
        }
        assert_eq!(taken, 9 * 3);
        assert_eq!(submitted(&replica).await, taken);
        replica.stop().await;
    }

    /// A field that the contract does not have is refused, not dropped, wherever it stands; what it held
    /// reaches no file.
    async fn an_unknown_field_is_refused_and_nothing_is_stored(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let channel = replica.channel();
        let form = full_form().encode_to_vec();
        let canary = raw::field(9, CANARY.as_bytes());
        let unknown = [
            [form.clone(), canary.clone()].concat(),
            [canary.clone(), form.clone()].concat(),
            [form.clone(), raw::field(9, b"")].concat(),
            [form.clone(), raw::varint(10, 1)].concat(),
            [form.clone(), raw::field(1000, CANARY.as_bytes())].concat(),
            [form.clone(), raw::field(536_870_911, CANARY.as_bytes())].concat(),
            canary.clone(),
        ];
        for (place, message) in unknown.into_iter().enumerate() {
            let metadata = raw::bearer(replica.token(Role::Intake));
            let answer = raw::call(&channel, SUBMIT, metadata, message.into()).await;
            let status = answer.expect_err(&format!("message {place}"));
            let expected = (Code::InvalidArgument, "UNKNOWN_FIELD".to_owned());
            assert_eq!(refusal(&status), expected, "message {place}");
            assert!(!raw::contains(&raw::everything(&status), CANARY.as_bytes()));
        }
        assert_eq!(submitted(&replica).await, 0);

        // Deeper: in the person of a request, and in the time of one.
        let id = raw::field(1, new_id().to_string().as_bytes());
        let person = raw::field(1, b"kari@example.no");
        let find = "/leadintake.v1.PrivacyService/FindSubject";
        let right = [id.clone(), raw::field(4, &person)].concat();
        let wrong = [
            raw::field(1, &[id.clone(), raw::field(4, &[person.clone(), canary.clone()].concat())].concat()),
            raw::field(1, &[right.clone(), raw::field(2, &canary)].concat()),
            raw::field(1, &[right.clone(), canary.clone()].concat()),
        ];
        for message in wrong {
            let metadata = raw::bearer(replica.token(Role::Privacy));
            let status = raw::call(&channel, find, metadata, message.into()).await.unwrap_err();
            assert_eq!(reason(&status), "UNKNOWN_FIELD");
        }
        let metadata = raw::bearer(replica.token(Role::Privacy));
        let known = raw::call(&channel, find, metadata, raw::field(1, &right).into()).await;
        assert_eq!(known.unwrap().len(), 1);

        replica.stop().await;
        for file in files(world.dir.path()) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!raw::contains(&bytes, CANARY.as_bytes()), "{}", file.display());
        }
    }

    /// A notice is accepted from the day it takes effect, in Norway, until the day its successor does, and
    /// the grace after that; a version that does not exist, or not yet, never.
    async fn only_the_notice_in_force_is_accepted(backend: Backend) {
        let mut world = World::new(backend).await;
        let unknown = Some("NOTICE_UNKNOWN");
        let superseded = Some("NOTICE_SUPERSEDED");
        // Midnight in Norway is 23:00 UTC of the day before, in winter.
        let table = [
            (0, "2026-10-20T12:00:00Z", None, unknown),
            (0, "2026-10-31T22:59:59Z", None, unknown),
            (0, "2026-10-31T23:00:00Z", superseded, None),
            (0, START, superseded, None),
            (14, "2026-10-31T22:59:59Z", None, unknown),
            (14, "2026-10-31T23:00:00Z", None, None),
            (14, "2026-11-14T22:59:59Z", None, None),
            (14, "2026-11-14T23:00:00Z", superseded, None),
            (14, START, superseded, None),
            // Any grace whatever makes no version valid before its day.
            (u32::MAX, "2026-10-31T22:59:59Z", None, unknown),
            (u32::MAX, START, None, None),
        ];
        let mut stored = 0;
        for grace in [0, 14, u32::MAX] {
            world.settings.notice_grace_days = grace;
            let replica = world.start().await;
            for (_, at, of_first, of_second) in table.iter().filter(|(days, ..)| *days == grace) {
                set_clock(&world, at);
                let versions = [("1.0", *of_first), ("1.1", *of_second), ("1.2", unknown), ("01.1", unknown)];
                for (version, expected) in versions {
                    let form = pb::SubmitLeadRequest { notice_version: version.to_owned(), ..full_form() };
                    let answer = submit(&replica, &form).await;
                    let Some(expected) = expected else {
                        let lead = get(&replica, &answer.unwrap().lead_id).await;
                        assert_eq!(lead.notice_version, version);
                        stored += 1;
                        continue;
                    };
                    let status = answer.expect_err(version);
                    let expected = (Code::FailedPrecondition, expected.to_owned());
                    assert_eq!(refusal(&status), expected, "{version} at {at}, grace {grace}");
                }
            }
            assert_eq!(submitted(&replica).await, stored);
            replica.stop().await;
        }
    }

    /// Names of every script come back byte for byte as they were given, composed (NFC); a phone in E.164;
    /// an e-mail as given.
    async fn content_comes_back_as_it_was_given(backend: Backend) {
        let world = World::new(backend).await;
        let replica = world.start().await;
        let names = [
            ("Åse Ærlig Ødegård", "Åse Ærlig Ødegård"),
            ("A\u{30a}se", "\u{c5}se"),
            ("\u{212b}se", "\u{c5}se"),
            ("Nguye\u{302}\u{303}n Thị", "Nguy\u{1ec5}n Thị"),
            ("  Kari\u{a0}", "Kari"),
            ("O’Brien-Smith, Jr.", "O’Brien-Smith, Jr."),
            ("Ἀριστοτέλης", "Ἀριστοτέλης"),
            ("Владимир", "Владимир"),
            ("محمد عبد الله", "محمد عبد الله"),
            ("علی\u{200c}رضا", "علی\u{200c}رضا"),
            ("דוד בן־גוריון", "דוד בן־גוריון"),
            ("王小明", "王小明"),
            ("葛\u{e0100}城", "葛\u{e0100}城"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("क्\u{200d}षितिज", "क्\u{200d}षितिज"),
            ("ประเสริฐ", "ประเสริฐ"),
            ("ᠮᠣᠩᠭᠣᠯ", "ᠮᠣᠩᠭᠣᠯ"),
            ("👩\u{200d}🔬 Labben", "👩\u{200d}🔬 Labben"),
            ("'); DROP TABLE lead;--", "'); DROP TABLE lead;--"),
            ("=HYPERLINK(\"x\")", "=HYPERLINK(\"x\")"),
        ];
        let mut pairs: Vec<(String, String)> = names
            .iter()
            .map(|(given, kept)| ((*given).to_owned(), (*kept).to_owned()))
            .collect();
        pairs.push(("ø".repeat(200), "ø".repeat(200)));
        pairs.push(("😀".repeat(200), "😀".repeat(200)));
        pairs.push(("o\u{308}".repeat(200), "ö".repeat(200)));
        for (given, kept) in pairs {
            let form = pb::SubmitLeadRequest { name: given.clone(), company: given, ..full_form() };
            let lead = get(&replica, &submit(&replica, &form).await.unwrap().lead_id).await;
            assert_eq!((lead.name.as_bytes(), lead.company.as_bytes()), (kept.as_bytes(), kept.as_bytes()));
        }
        for (given, kept) in [
            ("40605600", "+4740605600"),
            ("40 60 56 00", "+4740605600"),
            ("(+47) 40.60.56.00", "+4740605600"),
            ("0047 40605600", "+4740605600"),
            ("Tlf. 4060 5600", "+4740605600"),
            ("+46 8 123 456 78", "+46812345678"),
            ("+44 (0)20 7946 0958", "+442079460958"),
            ("٤٠٦٠٥٦٠٠", "+4740605600"),
        ] {
            let form = pb::SubmitLeadRequest { phone: given.to_owned(), ..full_form() };
            let lead = get(&replica, &submit(&replica, &form).await.unwrap().lead_id).await;
            assert_eq!(lead.phone, kept, "{given}");
        }
        for email in [
            "Kari.Nordmann+Skjema@Example.NO",
            "o'brien@example.no",
            "kåre@blåbær.no",
            "用户@例子.广告",
        ] {
            let form = pb::SubmitLeadRequest { email: format!(" {email} "), ..full_form() };
            let lead = get(&replica, &submit(&replica, &form).await.unwrap().lead_id).await;
            assert_eq!(lead.email, email);
        }
        replica.stop().await;
    }

    /// I3 to I6: the same key and content from the same client get the same answer, at any time, also when the clock goes
    /// back, and after a restart (a key never expires); other content is refused; the key of another client is another
    /// key; after the erasure nothing is stored again.
    async fn a_repeat_gets_the_first_answer(backend: Backend) {
        let mut world = World::new(backend).await;
        world.settings.notice_grace_days = u32::MAX;
        let replica = world.start().await;
        let form = full_form();
        let first = submit(&replica, &form).await.unwrap();
        assert_eq!(submit(&replica, &form).await.unwrap(), first);
        for days in [1, -10, 300, -290] {
            world.clock.advance_seconds(days * 24 * 3600);
            assert_eq!(submit(&replica, &form).await.unwrap(), first);
        }
        replica.stop().await;
        let replica = world.start().await;
        assert_eq!(submit(&replica, &form).await.unwrap(), first);

        // The same content in another spelling of the wire: what is stored would be the same.
        let respelt = pb::SubmitLeadRequest {
            request_id: form.request_id.to_uppercase(),
            name: format!(" {} ", form.name),
            phone: "40605600".to_owned(),
            ..form.clone()
        };
        assert_eq!(submit(&replica, &respelt).await.unwrap(), first);

        let others: [Change; 8] = [
            |f| f.name += "!",
            |f| f.company += "!",
            |f| f.phone = "40605601".into(),
            |f| f.email = "Kari@example.no".into(),
            |f| f.phone.clear(),
            |f| f.lawful_basis = pb::LawfulBasis::Consent.into(),
            |f| f.consent = false,
            |f| f.notice_version = "1.0".into(),
        ];
        for (place, change) in others.into_iter().enumerate() {
            let mut other = form.clone();
            change(&mut other);
            let status = submit(&replica, &other).await.expect_err(&format!("change {place}"));
            let expected = (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned());
            assert_eq!(refusal(&status), expected, "change {place}");
            let heard = raw::everything(&status);
            assert!(values(&other).iter().all(|value| !raw::contains(&heard, value.as_bytes())));
        }
        // Fields that swap their values are other content too.
        let mut swapped = form.clone();
        std::mem::swap(&mut swapped.name, &mut swapped.company);
        assert_eq!(reason(&submit(&replica, &swapped).await.unwrap_err()), "REQUEST_ID_REUSED");
        assert_eq!(submitted(&replica).await, 1);

        let second_site = world.new_token(&replica.store, "second-site", Role::Intake).await;
        let mut second_site = pb::intake_service_client::IntakeServiceClient::new(
            replica.caller(second_site.expose()),
        );
        let theirs = pb::SubmitLeadRequest { email: "ola@example.no".into(), ..form.clone() };
        let answer = second_site.submit_lead(theirs.clone()).await.unwrap().into_inner();
        assert_ne!(answer.lead_id, first.lead_id);
        assert_eq!(submit(&replica, &form).await.unwrap(), first);
        assert_eq!(submitted(&replica).await, 2);

        erase(&replica, &form.email).await;
        let mut other = form.clone();
        other.name += "!";
        for form in [&form, &other] {
            let status = submit(&replica, form).await.unwrap_err();
            assert_eq!(refusal(&status), (Code::FailedPrecondition, "LEAD_ERASED".to_owned()));
        }
        assert_eq!(second_site.submit_lead(theirs).await.unwrap().into_inner(), answer);
        assert_eq!(submitted(&replica).await, 2);
        // The person may come again: a new form is a new lead.
        let anew = pb::SubmitLeadRequest { request_id: new_id().to_string(), ..form };
        assert_ne!(submit(&replica, &anew).await.unwrap().lead_id, first.lead_id);
        replica.stop().await;
    }

    /// I2: 64 calls at once with one key, on two replicas where the database takes two: one lead, one
    /// entry, 64 equal answers.
    async fn first_uses_at_once_make_one_lead(backend: Backend) {
        let world = World::new(backend).await;
        let replicas = replicas(&world).await;
        let form = full_form();
        let sites: Vec<_> = replicas.iter().map(Replica::intake).collect();
        let calls = (0..64).map(|place| {
            let mut intake = sites[place % sites.len()].clone();
            let form = form.clone();
            tokio::spawn(async move { intake.submit_lead(form).await })
        });
        let calls: Vec<_> = calls.collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await.unwrap().unwrap().into_inner());
        }
        assert_eq!(answers.len(), 64);
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        for replica in &replicas {
            assert_eq!(submitted(replica).await, 1);
        }
        let page = replicas[0].crm().pull_leads(pb::PullLeadsRequest::default()).await.unwrap();
        assert_eq!(page.into_inner().changes.len(), 1);
        stop(replicas).await;
    }

    /// Calls that meet in one transaction do not feel each other: among new leads, each repeat gets its
    /// first answer, and each reused, erased or invalid one its own refusal.
    async fn neighbours_in_a_batch_get_their_own_results(backend: Backend) {
        let world = World::new(backend).await;
        let replicas = replicas(&world).await;
        let person = |number: usize| format!("person{number}@example.no");
        let mut expected: Vec<(pb::SubmitLeadRequest, Result<Option<String>, &str>)> = Vec::new();
        for number in 0..40 {
            let form = form("Earlier", &person(number));
            let stored = submit(&replicas[0], &form).await.unwrap();
            if number < 10 {
                erase(&replicas[0], &form.email).await;
                expected.push((form, Err("LEAD_ERASED")));
            } else if number < 20 {
                let reused = pb::SubmitLeadRequest { name: "Other".into(), ..form };
                expected.push((reused, Err("REQUEST_ID_REUSED")));
            } else {
                expected.push((form, Ok(Some(stored.lead_id))));
            }
        }
        for number in 40..200 {
            let form = form("New", &person(number));
            match number % 8 {
                // Twice at once; and once more with an invalid neighbour.
                0 => expected.extend([(form.clone(), Ok(None)), (form, Ok(None))]),
                1 => {
                    let invalid = pb::SubmitLeadRequest { lawful_basis: 0, ..form.clone() };
                    expected.extend([(form, Ok(None)), (invalid, Err("REQUIRED"))]);
                }
                _ => expected.push((form, Ok(None))),
            }
        }
        assert!(expected.len() >= 200);
        // An order that is not that of the kinds: 7 has no factor in common with the length.
        let length = expected.len();
        assert_ne!(length % 7, 0);
        let sites: Vec<_> = replicas.iter().map(Replica::intake).collect();
        let calls: Vec<_> = (0..length)
            .map(|place| {
                let (form, expected) = expected[place * 7 % length].clone();
                let mut intake = sites[place % sites.len()].clone();
                tokio::spawn(async move { (intake.submit_lead(form.clone()).await, form, expected) })
            })
            .collect();
        let mut by_key = BTreeMap::new();
        for call in calls {
            let (answer, form, expected) = call.await.unwrap();
            match (answer.map(tonic::Response::into_inner), expected) {
                (Ok(answer), Ok(earlier)) => {
                    let known = by_key.entry(form.request_id.clone()).or_insert_with(|| (answer.clone(), form));
                    assert_eq!(known.0, answer);
                    assert!(earlier.is_none_or(|earlier| earlier == answer.lead_id));
                }
                (Err(status), Err(expected)) => assert_eq!(reason(&status), expected),
                (answer, expected) => panic!("{answer:?} instead of {expected:?}"),
            }
        }
        assert_eq!(by_key.len(), 20 + 160);
        for (answer, form) in by_key.values() {
            let lead = get(&replicas[0], &answer.lead_id).await;
            assert_eq!((&lead.name, &lead.email), (&form.name, &form.email));
        }
        for replica in &replicas {
            assert_eq!(submitted(replica).await, 40 + 160);
            let verified = replica.ledger().verify_ledger(pb::VerifyLedgerRequest {}).await.unwrap();
            assert!(verified.into_inner().intact);
        }
        stop(replicas).await;
    }

    /// Many keys, each sent by many callers at once to all replicas, whose batches overlap in ever other
    /// ways: every call succeeds, and one lead for each key is stored.
    async fn batches_that_overlap_all_succeed(backend: Backend) {
        let world = World::new(backend).await;
        let replicas = replicas(&world).await;
        let sites: Vec<_> = replicas.iter().map(Replica::intake).collect();
        for round in 0..6 {
            let forms: Vec<_> = (0..24)
                .map(|number| form("Kari", &format!("kari{round}x{number}@example.no")))
                .collect();
            let calls: Vec<_> = (0..192_usize)
                .map(|place| {
                    // Each replica starts at another key, so that batches overlap in part.
                    let at = place % sites.len();
                    let form = forms[(place / sites.len() + at * 5) % forms.len()].clone();
                    let mut intake = sites[at].clone();
                    tokio::spawn(async move { (form.request_id.clone(), intake.submit_lead(form).await) })
                })
                .collect();
            let mut answers = BTreeMap::new();
            for call in calls {
                let (key, answer) = call.await.unwrap();
                let answer = answer.unwrap_or_else(|status| panic!("round {round}: {status:?}"));
                let answer = answer.into_inner();
                assert_eq!(*answers.entry(key).or_insert_with(|| answer.clone()), answer);
            }
            assert_eq!(answers.len(), forms.len());
            assert_eq!(submitted(&replicas[0]).await, forms.len() * (round + 1));
        }
        stop(replicas).await;
    }
}

/// As many servers as the database takes at once in production.
async fn replicas(world: &World) -> Vec<Replica> {
    let mut replicas = vec![world.start().await];
    if world.backend == Backend::Postgres {
        replicas.push(world.start().await);
    }
    replicas
}

async fn stop(replicas: Vec<Replica>) {
    for replica in replicas {
        replica.stop().await;
    }
}

/// A message that is no message of the contract is refused with its own reason, whatever is wrong with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_message_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let channel = replica.channel();
    let form = full_form().encode_to_vec();
    // The groups of old protobuf, opened and never closed: far deeper than any stack should go.
    let open_group = 2 << 3 | 3;
    let malformed = [
        vec![0xff; 40],
        form[..form.len() - 1].to_vec(),
        // Field number 0.
        [form.clone(), vec![0x02, 0x00]].concat(),
        // A length beyond the end, and one beyond any memory.
        [form.clone(), vec![0x12, 0x7f]].concat(),
        [
            form.clone(),
            vec![0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ]
        .concat(),
        // A name that is a number; a basis that is a text; a name that is no UTF-8.
        [form.clone(), raw::varint(2, 7)].concat(),
        [form.clone(), raw::field(6, CANARY.as_bytes())].concat(),
        [form.clone(), raw::field(2, &[0xff, 0xfe])].concat(),
        // Wire types that protobuf does not have.
        vec![0x16, 0x00],
        vec![0x17, 0x00],
        vec![open_group; 60_000],
        [form.clone(), vec![open_group; 50_000]].concat(),
        [vec![open_group; 30_000], vec![2 << 3 | 4; 30_000]].concat(),
    ];
    for (place, message) in malformed.into_iter().enumerate() {
        let metadata = raw::bearer(replica.token(Role::Intake));
        let answer = raw::call(&channel, SUBMIT, metadata, message.into()).await;
        let status = answer.expect_err(&format!("message {place}"));
        let expected = (Code::InvalidArgument, "MALFORMED_MESSAGE".to_owned());
        assert_eq!(refusal(&status), expected, "message {place}");
        assert!(!raw::contains(&raw::everything(&status), CANARY.as_bytes()));
    }
    // Messages in one another, deeper than the contract goes.
    let mut deep = Vec::new();
    for _ in 0..2000 {
        deep = raw::field(1, &deep);
    }
    for method in ["FindSubject", "EraseSubject", "ExportSubject"] {
        let path = format!("/leadintake.v1.PrivacyService/{method}");
        let metadata = raw::bearer(replica.token(Role::Privacy));
        let message = Bytes::from(deep.clone());
        let status = raw::call(&channel, &path, metadata, message)
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{method}");
        assert!(!reason(&status).is_empty(), "{method}");
    }
    assert_eq!(submitted(&replica).await, 0);
    assert!(submit(&replica, &full_form()).await.is_ok());
    replica.stop().await;
}

/// A message of up to 64 KiB is read, and a larger one refused with its own reason before it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_message_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let channel = replica.channel();
    let overhead = raw::field(2, &vec![0; 60_000]).len() - 60_000;
    for (length, expected) in [
        (64 * 1024, (Code::InvalidArgument, "SEVERAL_VIOLATIONS")),
        (64 * 1024 + 1, (Code::OutOfRange, "MESSAGE_TOO_LARGE")),
        (1024 * 1024, (Code::OutOfRange, "MESSAGE_TOO_LARGE")),
    ] {
        let text = CANARY.as_bytes().iter().copied().cycle();
        // The length of the length is the same for all but the last, which is large anyway.
        let text: Vec<u8> = text.take(length - overhead).collect();
        let message = raw::field(2, &text);
        let metadata = raw::bearer(replica.token(Role::Intake));
        let answer = raw::call(&channel, SUBMIT, metadata, message.into()).await;
        let status = answer.expect_err("too long in any case");
        assert_eq!(
            refusal(&status),
            (expected.0, expected.1.to_owned()),
            "{length}"
        );
        assert!(!raw::contains(&raw::everything(&status), CANARY.as_bytes()));
    }
    assert!(submit(&replica, &full_form()).await.is_ok());
    replica.stop().await;
}

async fn notice(
    replica: &Replica,
    version: &str,
    language: &str,
) -> Result<pb::GetPrivacyNoticeResponse, Status> {
    let request = pb::GetPrivacyNoticeRequest {
        version: version.to_owned(),
        language: language.to_owned(),
    };
    let answer = replica.intake().get_privacy_notice(request).await;
    answer.map(tonic::Response::into_inner)
}

/// The notice can be had in both languages and every version, the one in force if none is named; its hash
/// is that of its text; it names the controller; and submitting under it works.
#[tokio::test(flavor = "multi_thread")]
async fn the_privacy_notice_can_be_had() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    let mut hashes = BTreeSet::new();
    for (version, effective_from) in [("1.0", "2022-04-05"), ("1.1", "2026-11-01")] {
        for language in ["nb", "en"] {
            let notice = notice(&replica, version, language).await.unwrap();
            assert_eq!((&*notice.version, &*notice.language), (version, language));
            assert_eq!(notice.effective_from, effective_from);
            let hash = HEXLOWER.encode(digest(&SHA256, notice.text.as_bytes()).as_ref());
            assert_eq!(notice.sha256, hash);
            let controller = notice.controller.unwrap();
            for part in [controller.name, controller.address, controller.email] {
                assert!(notice.text.contains(&part), "the text does not name {part}");
            }
            assert!(!notice.purposes.is_empty() && !notice.rights.is_empty());
            hashes.insert(hash);
        }
    }
    assert_eq!(hashes.len(), 4, "four different texts");

    let current = notice(&replica, "", "").await.unwrap();
    assert_eq!((&*current.version, &*current.language), ("1.1", "nb"));
    let form = pb::SubmitLeadRequest {
        notice_version: current.version,
        ..full_form()
    };
    assert!(submit(&replica, &form).await.is_ok());
    set_clock(&world, "2026-10-20T12:00:00Z");
    assert_eq!(notice(&replica, "", "en").await.unwrap().version, "1.0");
    // A version that is not in force yet may be read.
    assert_eq!(notice(&replica, "1.1", "en").await.unwrap().version, "1.1");
    set_clock(&world, "2020-01-01T12:00:00Z");
    let none = notice(&replica, "", "").await.unwrap_err();
    assert_eq!(
        refusal(&none),
        (Code::NotFound, "NOTICE_UNKNOWN".to_owned())
    );
    replica.stop().await;
}

/// A notice that there is not, or a language that it is not in, is refused without repeating what was asked.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_privacy_notice_is_refused() {
    let world = World::new(Backend::Sqlite).await;
    let replica = world.start().await;
    for version in ["1.2", "01.0", "1", CANARY] {
        let status = notice(&replica, version, "").await.unwrap_err();
        assert_eq!(
            refusal(&status),
            (Code::NotFound, "NOTICE_UNKNOWN".to_owned()),
            "{version}"
        );
        assert!(!raw::contains(&raw::everything(&status), CANARY.as_bytes()));
    }
    for language in ["sv", "nn", CANARY] {
        let status = notice(&replica, "", language).await.unwrap_err();
        assert_eq!(
            violations(&status),
            owned(&[("language", "LANGUAGE_UNKNOWN")])
        );
        assert!(!raw::contains(&raw::everything(&status), CANARY.as_bytes()));
    }
    let long = CANARY.repeat(3);
    let status = notice(&replica, &long, &long).await.unwrap_err();
    assert_eq!(
        violations(&status),
        owned(&[("language", "TOO_LONG"), ("version", "TOO_LONG")])
    );
    replica.stop().await;
}
