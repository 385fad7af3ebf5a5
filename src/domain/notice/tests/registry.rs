//! Which version holds on which day, and which files are refused.

use std::error::Error as _;

use jiff::civil::{Date, date};

use super::super::registry::Source;
use super::super::*;
use super::{EN, NB, shipped};

/// A lead is accepted under the notice in force, and under the one before only within the grace.
#[test]
fn acceptance_follows_the_dates() {
    use Acceptance::{Current, NotYet, Superseded, Unknown};
    let table: [(&str, Date, u32, Acceptance); 17] = [
        ("1.0", date(2022, 4, 4), 0, NotYet),
        ("1.0", date(2022, 4, 5), 0, Current),
        ("1.0", date(2026, 10, 31), 0, Current),
        ("1.0", date(2026, 11, 1), 0, Superseded),
        ("1.0", date(2026, 11, 1), 1, Current),
        ("1.0", date(2026, 11, 2), 1, Superseded),
        ("1.0", date(2026, 11, 30), 30, Current),
        ("1.0", date(2026, 12, 1), 30, Superseded),
        ("1.0", date(9999, 12, 31), u32::MAX, Current),
        ("1.1", date(2022, 4, 5), 30, NotYet),
        ("1.1", date(2026, 10, 31), 30, NotYet),
        ("1.1", date(2026, 11, 1), 0, Current),
        ("1.1", date(9999, 12, 31), 0, Current),
        ("1.2", date(2026, 11, 1), 30, Unknown),
        ("", date(2026, 11, 1), 30, Unknown),
        ("01.0", date(2026, 1, 1), 30, Unknown),
        ("1.0 ", date(2026, 1, 1), 30, Unknown),
    ];
    let notices = shipped();
    for (version, today, grace_days, expected) in table {
        let found = notices.acceptance(version, today, grace_days);
        assert_eq!(
            found, expected,
            "{version} on {today} with grace {grace_days}"
        );
    }
}

/// The version in force changes on its day, and there is none before the first.
#[test]
fn current_is_the_latest_in_force() {
    let notices = shipped();
    let current = |today| notices.current(today).map(NoticeVersion::as_str);
    assert_eq!(current(date(2022, 4, 4)), None);
    assert_eq!(current(date(2022, 4, 5)), Some("1.0"));
    assert_eq!(current(date(2026, 10, 31)), Some("1.0"));
    assert_eq!(current(date(2026, 11, 1)), Some("1.1"));
    let versions: Vec<&str> = notices.versions().map(NoticeVersion::as_str).collect();
    assert_eq!(versions, ["1.0", "1.1"]);
    let notice = notices.get("1.1", Language::En).unwrap();
    assert_eq!(
        (notice.language, notice.effective_from),
        (Language::En, date(2026, 11, 1))
    );
    assert!(notices.get("2.0", Language::Nb).is_none());
}

/// The service does not start with an empty part of the controller, and names all of them at once.
#[test]
fn incomplete_controller_is_refused() {
    let controller: Controller = toml::from_str("name = 'A AS'\nphone = ' '").unwrap();
    let error = NoticeRegistry::shipped(&controller).unwrap_err();
    assert_eq!(
        error.to_string(),
        "controller facts are empty: address, organisation_number, phone, email"
    );
    assert_eq!(Controller::default().missing(), Vec::<&str>::new());
    assert!(toml::from_str::<Controller>("nmae = 'A AS'").is_err());
}

/// A misspelt key is an error, not a gap.
#[test]
fn unknown_keys_are_refused() {
    let misspelt = NB.replace("transfers =", "transfer =");
    let sources = [Source {
        nb: &misspelt,
        en: EN,
    }];
    let error = NoticeRegistry::load(&sources, &Controller::default()).unwrap_err();
    assert!(matches!(
        error,
        NoticeError::Malformed {
            language: Language::Nb,
            ..
        }
    ));
    assert!(
        error
            .source()
            .is_some_and(|source| source.to_string().contains("transfer"))
    );
}

/// Two languages that promise different things are refused.
#[test]
fn languages_must_agree() {
    let changes = [
        ("days_max = 180", "days_max = 90"),
        ("processors_allowed = false", "processors_allowed = true"),
        ("2026-11-01", "2026-11-02"),
        ("version = \"1.1\"", "version = \"1.2\""),
        ("language = \"en\"", "language = \"nb\""),
        ("0105 Oslo", "0106 Oslo"),
        ("\"6(1)(a)\"", "\"6(1)(b)\""),
        ("\"Phone number\", ", ""),
    ];
    for (from, to) in changes {
        let en = EN.replacen(from, to, 1);
        assert_ne!(en, EN, "{from}");
        let loaded = NoticeRegistry::load(&[Source { nb: NB, en: &en }], &Controller::default());
        assert!(
            matches!(loaded, Err(NoticeError::LanguagesDisagree { .. })),
            "{from}"
        );
    }
}

/// Versions take effect one after the other, and no name is used twice.
#[test]
fn versions_must_rise() {
    let load = |sources: &[Source<'_>]| NoticeRegistry::load(sources, &Controller::default());
    let shipped = Source { nb: NB, en: EN };
    let rename = |text: &str| text.replace("\"1.1\"", "\"1.10\"");
    let (nb, en) = (rename(NB), rename(EN));
    let same_day = Source { nb: &nb, en: &en };
    assert!(matches!(
        load(&[shipped, same_day]),
        Err(NoticeError::OutOfOrder { .. })
    ));
    let later = |text: &str| text.replace("2026-11-01", "2027-11-01");
    let (nb, en) = (later(NB), later(EN));
    let same_name = Source { nb: &nb, en: &en };
    assert!(matches!(
        load(&[shipped, same_name]),
        Err(NoticeError::OutOfOrder { .. })
    ));
    let (nb, en) = (rename(&nb), rename(&en));
    assert!(load(&[shipped, Source { nb: &nb, en: &en }]).is_ok());
}
