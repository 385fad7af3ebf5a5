//! E-mail addresses: `local@domain`, kept as given and in a form for look-ups.

use std::fmt;
use std::str::FromStr;

use addr_spec::AddrSpec;
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

use super::text::{self, TextError};
use super::{TEXT_CHARS_MAX, chars};

/// The longest address in octets: a path of 256 (RFC 5321, 4.5.3.1.3) less its angle brackets.
const ADDRESS_BYTES_MAX: usize = 254;

/// The longest local part in octets (RFC 5321, 4.5.3.1.1; UTF-8 octets by RFC 6531).
const LOCAL_PART_BYTES_MAX: usize = 64;

/// How often folding is repeated until nothing changes; the second round only confirms.
const FOLD_ROUNDS_MAX: usize = 3;

/// An e-mail address that mail can be sent to over the public Internet.
///
/// A dot-atom local part (RFC 5322, UTF-8 by RFC 6532) at a domain name with a dot. Quoted local
/// parts, address literals, comments and display names are refused: nobody types them into a
/// contact form, and half the mail software mishandles them. Equality compares both forms; to ask
/// whether two addresses reach the same mailbox compare [`lookup`](Self::lookup).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email {
    as_given: String,
    lookup: String,
}

/// Why an address is refused. The wording never holds the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EmailError {
    /// More than 200 characters, 254 octets, or 64 octets before the `@`, in either form.
    #[error("longer than 200 characters, or longer than an e-mail address can be")]
    TooLong,
    /// A control character, or an invisible one: the address would not be what it looks like.
    #[error("contains a control character or an invisible character")]
    ControlCharacter,
    /// Not `local@domain.tld` with a plain local part and a valid domain name.
    #[error("not an e-mail address")]
    Invalid,
}

impl Email {
    /// Checks and normalises an address; blank text is `None`.
    ///
    /// Also for the other side of a look-up, a queried or a stored address: parsing a look-up form
    /// gives the same look-up form.
    ///
    /// # Errors
    /// [`EmailError`].
    pub fn parse(raw: &str) -> Result<Option<Self>, EmailError> {
        let Some(as_given) = text::clean(raw)? else {
            return Ok(None);
        };
        let lookup = lookup_form(&as_given)?;
        Ok(Some(Self { as_given, lookup }))
    }

    /// The address as it was typed: trimmed and NFC, otherwise untouched. Write to this one.
    #[must_use]
    pub fn as_given(&self) -> &str {
        &self.as_given
    }

    /// The form to find a person by: NFKC, lower case, the domain in Punycode.
    ///
    /// "+tag" and dots stay: whether they matter is the provider's rule, and two people must never
    /// become one.
    #[must_use]
    pub fn lookup(&self) -> &str {
        &self.lookup
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Personal data: the value must not reach a log through `{:?}`.
        f.debug_tuple("Email").finish_non_exhaustive()
    }
}

impl From<TextError> for EmailError {
    fn from(error: TextError) -> Self {
        match error {
            TextError::TooLong => Self::TooLong,
            TextError::ControlCharacter => Self::ControlCharacter,
        }
    }
}

fn lookup_form(as_given: &str) -> Result<String, EmailError> {
    let (local, domain) = split(as_given)?;
    let local = fold(local).ok_or(EmailError::Invalid)?;
    let domain = fold(domain).ok_or(EmailError::Invalid)?;
    let lookup = format!("{local}@{}", ascii_domain(&domain)?);
    // Of ASCII, folding changes the case only.
    if as_given.is_ascii() {
        return Ok(lookup);
    }
    // Folding can bring in what the first check saw no trace of: NFKC turns one character into
    // "..", into "(a)", or into eighteen letters. What comes out must be an address in its own
    // right.
    split(&lookup)?;
    Ok(lookup)
}

/// Local part and domain of an address that keeps the grammar and the limits.
fn split(address: &str) -> Result<(&str, &str), EmailError> {
    // Refused before addr-spec sees it: it takes ';' for an atom, which RFC 5322 does not, and its
    // parser of quoted strings is unsafe code that we have no use for.
    if address.contains(['"', ';']) {
        return Err(EmailError::Invalid);
    }
    AddrSpec::from_str(address).map_err(|_| EmailError::Invalid)?;
    // Without quotes neither side can hold a second '@'.
    let (local, domain) = address.split_once('@').ok_or(EmailError::Invalid)?;

    // Joiners are letters' business in Persian and Indic domain names; IDNA checks where they
    // stand.
    let is_joiner = |c| matches!(c, '\u{200C}' | '\u{200D}');
    if local.chars().any(chars::is_invisible)
        || domain
            .chars()
            .any(|c| chars::is_invisible(c) && !is_joiner(c))
    {
        return Err(EmailError::ControlCharacter);
    }
    if address.contains(char::is_whitespace) {
        return Err(EmailError::Invalid);
    }
    if text::exceeds(address, TEXT_CHARS_MAX)
        || address.len() > ADDRESS_BYTES_MAX
        || local.len() > LOCAL_PART_BYTES_MAX
    {
        return Err(EmailError::TooLong);
    }
    Ok((local, domain))
}

/// NFKC and lower case, repeated until it changes nothing; `None` if it never settles.
fn fold(part: &str) -> Option<String> {
    if part.is_ascii() {
        return Some(part.to_ascii_lowercase());
    }
    let mut folded = part.to_owned();
    for _ in 0..FOLD_ROUNDS_MAX {
        let compatible: String = folded.nfkc().collect();
        let next: String = compatible.to_lowercase().nfkc().collect();
        if next == folded {
            return Some(folded);
        }
        folded = next;
    }
    None
}

/// The domain name in Punycode (UTS #46, non-transitional), checked for what DNS can hold.
fn ascii_domain(domain: &str) -> Result<String, EmailError> {
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            // Letters, digits and hyphens only: an underscore names a record, never a mail domain.
            AsciiDenyList::STD3,
            // Hyphens in third and fourth place occur in real names.
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .map_err(|_| EmailError::Invalid)?;
    // Without a dot it is a host on somebody's own network; with digits last it is an IP address.
    let (_, top_level) = ascii.rsplit_once('.').ok_or(EmailError::Invalid)?;
    if top_level.len() < 2 || top_level.bytes().all(|b| b.is_ascii_digit()) {
        return Err(EmailError::Invalid);
    }
    Ok(ascii.into_owned())
}

#[cfg(test)]
mod tests;
