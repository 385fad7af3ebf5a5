//! Telephone numbers: whatever people type, as E.164.
//!
//! [`written`] reads the text down to a plus sign and digits; the numbering plans of all countries
//! come from Google's libphonenumber, by way of `rlibphonenumber`. The library never sees anything
//! but a plus sign and ASCII digits: left to itself it would take letters for digits (vanity
//! numbers) and split off extensions.

mod written;

use std::fmt;
use std::str::FromStr;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat};

use super::text;
use super::{TEXT_CHARS_MAX, chars};

/// The most digits in an international number, country code included (ITU-T E.164, 6.2.1).
const E164_DIGITS_MAX: usize = 15;

/// The fewest digits this service takes for an E.164 number: a country code and one more.
const E164_DIGITS_MIN: usize = 2;

/// A telephone number in E.164: a plus sign, country code and number, at most 15 digits.
///
/// Valid in its country's numbering plan when it was parsed. An E.164 number has no extension.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

/// The country whose numbers need no country code: an ISO 3166-1 alpha-2 region such as `NO`.
///
/// Only regions with a numbering plan of their own. Not personal data, so `Debug` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region(rlibphonenumber::Region);

/// Why a number is refused. The wording never holds the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PhoneError {
    /// More than [`TEXT_CHARS_MAX`] characters.
    #[error("longer than 200 characters")]
    TooLong,
    /// A control character or a line break.
    #[error("contains a control character or a line break")]
    ControlCharacter,
    /// Not exactly one number that is in use in its country.
    ///
    /// An extension ("ext. 5", "x5", ";ext=5") is refused too: E.164 has no place for it, and
    /// leaving it out without a word would connect the caller to somebody else.
    #[error("not one valid telephone number without an extension")]
    Invalid,
}

/// The text is not a region with telephone numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("not a two-letter ISO 3166 region with a telephone numbering plan")]
pub struct UnknownRegion;

impl Phone {
    /// Reads a number as people write it; blank text is `None`.
    ///
    /// A number without a country code belongs to `default_region`. Spaces, dots, dashes, slashes
    /// and brackets may group it, in 21 scripts' digits; a label ("tlf.", "mob:"), the trunk
    /// remark "(0)" and a closing remark without digits ("(mobil)") are understood and left out.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub fn parse(raw: &str, default_region: Region) -> Result<Option<Self>, PhoneError> {
        let trimmed = chars::trim(raw);
        if text::exceeds(trimmed, TEXT_CHARS_MAX) {
            return Err(PhoneError::TooLong);
        }
        // Address books wrap numbers in direction marks of every kind. Only digits leave this
        // function, so here they can be dropped where other fields must refuse them.
        let visible: String = trimmed
            .chars()
            .filter(|c| !chars::is_invisible(*c))
            .collect();
        if chars::is_blank(&visible) {
            return Ok(None);
        }
        if visible.chars().any(chars::is_forbidden) {
            return Err(PhoneError::ControlCharacter);
        }
        let dialled = written::read(&visible).ok_or(PhoneError::Invalid)?;
        let phone = Self::dial(&dialled.digits, default_region).or_else(|| {
            let without_trunk = dialled.without_trunk.as_deref()?;
            Self::dial(without_trunk, default_region)
        });
        phone.map(Some).ok_or(PhoneError::Invalid)
    }

    /// A value that this service stored itself: only its shape is looked at.
    ///
    /// A plus sign and 2 to 15 digits, the first not 0. Numbering plans change, and a stored number
    /// must stay readable after its series is closed.
    #[must_use]
    pub fn from_e164(stored: &str) -> Option<Self> {
        let digits = stored.strip_prefix('+')?;
        let shaped = (E164_DIGITS_MIN..=E164_DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        shaped.then(|| Self(stored.to_owned()))
    }

    /// The number in E.164, for example `+4740605600`.
    #[must_use]
    pub fn as_e164(&self) -> &str {
        &self.0
    }

    /// The number that these keys reach from this region, if it is a valid one.
    fn dial(keys: &str, region: Region) -> Option<Self> {
        if let Some(phone) = Self::norwegian_mobile(keys, region) {
            return Some(phone);
        }
        let phone = Self::valid(keys, region)?;
        // Of a Norwegian number dialled in Norway, as most are, all digits are in both forms, and of one in
        // E.164 both are the same: there is nothing to read differently the second time.
        if phone.0 == keys || phone.0.strip_prefix("+47") == Some(keys) {
            return Some(phone);
        }
        // Only a form that reads back as itself can be stored and looked up. None of 169,063 valid
        // numbers of all countries failed this; metadata changes with every release, though.
        (Self::valid(&phone.0, region).as_ref() == Some(&phone)).then_some(phone)
    }

    /// The number that most leads have, known by its first digit as in [`Self::is_in_norwegian_plan`]. The library would find the
    /// same, and take a tenth of a submission's time for it.
    fn norwegian_mobile(keys: &str, region: Region) -> Option<Self> {
        let national = match keys.strip_prefix("+47") {
            Some(national) => national,
            None if region == Region::default() => keys,
            None => return None,
        };
        let mobile = national.len() == 8 && national.starts_with(['4', '9']);
        mobile.then(|| Self(format!("+47{national}")))
    }

    fn valid(keys: &str, region: Region) -> Option<Self> {
        let number = PhoneNumber::parse(keys, Some(region.0)).ok()?;
        let phone = Self::from_e164(&number.format_as(PhoneNumberFormat::E164))?;
        (number.is_valid() || phone.is_in_norwegian_plan()).then_some(phone)
    }

    /// Norwegian series of the regulator's plan that the library takes only in part.
    ///
    /// From Nkom's "Alle nummerserier for norske telefonnumre": 02000 to 09999 are five-digit
    /// numbers of companies (E.164 `+4702000` to `+4709999`), 40 to 49 are eight-digit mobile
    /// numbers. The library (metadata 9.0.42) holds 04xxx for short codes, because they also take
    /// text messages, and leaves out 42 to 44, 49 and 4536. Series are opened faster than metadata
    /// is released, and a real lead refused costs more than a mistyped number kept.
    fn is_in_norwegian_plan(&self) -> bool {
        match self.0.strip_prefix("+47").map(str::as_bytes) {
            Some([b'0', b'2'..=b'9', rest @ ..]) => rest.len() == 3,
            Some([b'4', rest @ ..]) => rest.len() == 7,
            _ => false,
        }
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Personal data: the value must not reach a log through `{:?}`.
        f.debug_tuple("Phone").finish_non_exhaustive()
    }
}

impl Default for Region {
    /// Norway: the notice this service was written for is a Norwegian company's.
    fn default() -> Self {
        Self(rlibphonenumber::Region::NO)
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    /// Two letters, upper or lower case.
    fn from_str(code: &str) -> Result<Self, UnknownRegion> {
        let region = rlibphonenumber::Region::from_code(code).map_err(|_| UnknownRegion)?;
        // It knows every pair of letters, and "001" for the world; only countries have national
        // numbers.
        PHONE_NUMBER_UTIL
            .get_country_code_for_region(region)
            .ok_or(UnknownRegion)?;
        Ok(Self(region))
    }
}

impl TryFrom<&str> for Region {
    type Error = UnknownRegion;

    fn try_from(code: &str) -> Result<Self, UnknownRegion> {
        code.parse()
    }
}

#[cfg(test)]
mod tests;
