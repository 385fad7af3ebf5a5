//! What people type, what is dialled, and what is refused.

mod tables;

use proptest::prelude::*;
use rlibphonenumber::PhoneNumberType;

use super::*;

fn parse(raw: &str, region: &str) -> Result<Option<String>, PhoneError> {
    let phone = Phone::parse(raw, region.parse().expect(region))?;
    Ok(phone.map(|phone| phone.as_e164().to_owned()))
}

/// Numbers typed into a Norwegian form.
#[test]
fn taken_in_norway() {
    for &(raw, expected) in tables::TAKEN_IN_NORWAY {
        assert_eq!(parse(raw, "NO"), Ok(Some(expected.to_owned())), "{raw:?}");
        assert_eq!(
            parse(expected, "NO"),
            Ok(Some(expected.to_owned())),
            "{raw:?} again"
        );
    }
}

/// What is known by its first digit is what the library reads too, in every series; elsewhere nothing is.
#[test]
fn norwegian_mobiles_as_by_the_library() {
    let norway = Region::default();
    for series in (4000..5000).chain(9000..10_000) {
        for keys in [format!("{series}1234"), format!("+47{series}1234")] {
            let known = Phone::norwegian_mobile(&keys, norway);
            assert!(
                known.is_some() && known == Phone::valid(&keys, norway),
                "{keys}"
            );
        }
    }
    let sweden = "SE".parse().expect("a region");
    for keys in ["41234567", "91234567", "+4691234567"] {
        assert_eq!(Phone::norwegian_mobile(keys, sweden), None, "{keys}");
    }
    for keys in [
        "22123456",
        "412345678",
        "9123456",
        "+47",
        "+4722123456",
        "04747",
    ] {
        assert_eq!(Phone::norwegian_mobile(keys, norway), None, "{keys}");
    }
}

/// Numbers typed into a form of another country.
#[test]
fn taken_elsewhere() {
    let table = [
        ("SE", "070-123 45 67", "+46701234567"),
        ("SE", "0047 40605600", "+4740605600"),
        ("GB", "(020) 7946 0958", "+442079460958"),
        ("GB", "(0)20 7946 0958", "+442079460958"),
        ("US", "(212) 555-2368", "+12125552368"),
        ("US", "1-212-555-2368", "+12125552368"),
        ("US", "011 47 40605600", "+4740605600"),
        ("DE", "030 / 123456", "+4930123456"),
        ("IT", "06 698 12345", "+390669812345"),
        ("SJ", "79021234", "+4779021234"),
        ("SJ", "04800", "+4704800"),
        ("dk", "32 12 34 56", "+4532123456"),
    ];
    for (region, raw, expected) in table {
        assert_eq!(
            parse(raw, region),
            Ok(Some(expected.to_owned())),
            "{raw:?} in {region}"
        );
    }
}

/// Texts that are not exactly one valid number.
#[test]
fn refused() {
    for &raw in tables::REFUSED_IN_NORWAY {
        assert_eq!(parse(raw, "NO"), Err(PhoneError::Invalid), "{raw:?}");
    }
}

/// Blank, too long, and control characters, which come before any reading.
#[test]
fn not_read() {
    for raw in ["", " ", "\u{A0}\t\r\n", "\u{200F}", "\u{202A}\u{202C}"] {
        assert_eq!(parse(raw, "NO"), Ok(None), "{raw:?}");
    }
    for raw in [
        "4060\t5600",
        "4060\n5600",
        "40605600\0",
        "\u{1B}[1m40605600",
        "4060\u{2028}5600",
    ] {
        assert_eq!(
            parse(raw, "NO"),
            Err(PhoneError::ControlCharacter),
            "{raw:?}"
        );
    }
    assert_eq!(
        parse(&format!("40605600 ({})", "x".repeat(189)), "NO")
            .unwrap()
            .unwrap()
            .len(),
        11
    );
    assert_eq!(
        parse(&format!("40605600 ({})", "x".repeat(190)), "NO"),
        Err(PhoneError::TooLong)
    );
    assert_eq!(
        parse(&"4".repeat(1_000_000), "NO"),
        Err(PhoneError::TooLong)
    );
}

/// Only the shape of a stored value counts.
#[test]
fn from_e164() {
    for stored in ["+47", "+4740605600", "+4704800", "+999999999999999", "+10"] {
        assert_eq!(
            Phone::from_e164(stored).as_ref().map(Phone::as_e164),
            Some(stored)
        );
    }
    let misshapen = [
        "",
        "+",
        "+4",
        "40605600",
        "+0740605600",
        "+47 40605600",
        "+1234567890123456",
        "+٤٧٤٠",
    ];
    for stored in misshapen {
        assert_eq!(Phone::from_e164(stored), None, "{stored:?}");
    }
}

/// A region is two letters with a numbering plan behind them.
#[test]
fn regions() {
    assert_eq!("NO".parse(), Ok(Region::default()));
    assert_eq!(Region::try_from("no"), Ok(Region::default()));
    for code in [
        "", "N", "NOR", "001", "47", "QQ", "AQ", "ZZ", "Ø", "N ", "\0\0",
    ] {
        assert_eq!(Region::try_from(code), Err(UnknownRegion), "{code:?}");
    }
}

/// A value cannot slip into a log through `Debug`.
#[test]
fn debug_tells_nothing() {
    let phone = Phone::from_e164("+4740605600").unwrap();
    assert_eq!(format!("{phone:?}"), "Phone(..)");
}

/// The library's example of every kind of number in every country is taken as it is, stored and
/// read back from Norway and from its own country.
#[test]
fn examples_of_every_country() {
    let mut seen = 0;
    for region in PHONE_NUMBER_UTIL.get_supported_regions() {
        for kind in [
            PhoneNumberType::FixedLine,
            PhoneNumberType::Mobile,
            PhoneNumberType::TollFree,
            PhoneNumberType::PremiumRate,
            PhoneNumberType::VoIP,
            PhoneNumberType::UAN,
        ] {
            let Ok(example) =
                PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind)
            else {
                continue;
            };
            let e164 = example.format_as(PhoneNumberFormat::E164).into_owned();
            let national = example.format_as(PhoneNumberFormat::National).into_owned();
            assert_eq!(
                parse(&e164, "NO"),
                Ok(Some(e164.clone())),
                "{region:?} {kind:?}"
            );
            let home = Region(region);
            let stored = Phone::from_e164(&e164);
            assert_eq!(
                Phone::parse(&e164, home),
                Ok(stored.clone()),
                "{region:?} {kind:?}"
            );
            let read = Phone::parse(&national, home);
            assert_eq!(read, Ok(stored), "{national} {region:?} {kind:?}");
            seen += 1;
        }
    }
    assert!(seen > 500, "{seen} examples");
}

proptest! {
    // A failing case is printed; it belongs in a table above, not in a file beside the sources.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No text makes it panic.
    #[test]
    fn any_text(raw in any::<String>()) {
        check(&raw, "NO")?;
    }

    /// Texts made of what numbers are made of, for regions with different habits.
    #[test]
    fn like_a_number(
        raw in r"(tlf\. ?)?[+＋]?(00|\(0\)|47|46|39|1|7|549)?[0-9٤()./ x\-]{1,14}( \(mobil\))?",
        region in prop::sample::select(vec!["NO", "SE", "GB", "US", "IT", "AR", "MX", "BR", "DE"]),
    ) {
        check(&raw, region)?;
    }

    /// Every Norwegian mobile number is read as one, with and without the country code.
    #[test]
    fn norwegian_mobiles(number in "[49][0-9]{7}") {
        let expected = Ok(Some(format!("+47{number}")));
        for prefix in ["", "+47", "0047 ", "47"] {
            prop_assert_eq!(&parse(&format!("{prefix}{number}"), "NO"), &expected);
        }
    }
}

fn check(raw: &str, region: &str) -> Result<(), TestCaseError> {
    if let Ok(Some(e164)) = parse(raw, region) {
        prop_assert_eq!(parse(&e164, region), Ok(Some(e164.clone())));
        prop_assert_eq!(parse(&e164, "NO"), Ok(Some(e164.clone())));
        prop_assert!(Phone::from_e164(&e164).is_some());
    }
    Ok(())
}
