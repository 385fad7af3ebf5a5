//! Bearer tokens: `li_<role>_<id>_<secret>_<checksum>`.
//!
//! The prefix lets scanners find a leaked one, the checksum lets a typing error fail without a look-up. The
//! secret is 43 characters of base 62, 256 bits; only its SHA-256 is stored, which is enough at that length
//! (OWASP ASVS 6.5.2). A token is shown once, when it is made.

use std::fmt;

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::seal::{NoRandomness, random};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const KEY_ID_LEN: usize = 12;
const SECRET_LEN: usize = 43;
const CHECKSUM_LEN: usize = 6;
/// The longest token there is, with room for longer role names.
pub const TOKEN_LEN_MAX: usize = 96;

/// What a caller may do. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Hands over leads.
    Intake = 1,
    /// Reads the feed.
    Crm = 2,
    /// Answers the rights of people.
    Privacy = 3,
    /// Verifies the ledger.
    Auditor = 4,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Intake, Self::Crm, Self::Privacy, Self::Auditor];

    /// Its name, as in tokens, metrics and the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Intake => "intake",
            Self::Crm => "crm",
            Self::Privacy => "privacy",
            Self::Auditor => "auditor",
        }
    }

    /// The role with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as i64 == number)
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A token as its holder has it.
#[derive(Clone)]
pub struct Token(SecretString);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.key_id())
    }
}

impl Token {
    /// A new token.
    pub fn generate(role: Role) -> Result<Self, NoRandomness> {
        let key_id = letters::<KEY_ID_LEN>(BASE32)?;
        let secret = letters::<SECRET_LEN>(BASE62)?;
        let body = format!("li_{role}_{key_id}_{secret}");
        Ok(Self(
            format!("{body}_{}", String::from_iter(checksum(&body))).into(),
        ))
    }

    /// A token from its text. `None` for anything that is not one, without saying in what.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TOKEN_LEN_MAX || !text.is_ascii() {
            return None;
        }
        let (body, sum) = text.rsplit_once('_')?;
        let mut parts = body.split('_');
        let (prefix, role) = (parts.next()?, parts.next()?);
        let (key_id, secret) = (parts.next()?, parts.next()?);
        let well_formed = prefix == "li"
            && Role::from_name(role).is_some()
            && key_id.len() == KEY_ID_LEN
            && secret.len() == SECRET_LEN
            && parts.next().is_none()
            && sum.chars().eq(checksum(body));
        well_formed.then(|| Self(text.into()))
    }

    /// The text to hand to its holder.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Public identifier: may be logged.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.part(2)
    }

    fn secret(&self) -> &str {
        self.part(3)
    }

    fn part(&self, place: usize) -> &str {
        self.expose().split('_').nth(place).unwrap_or_default()
    }

    /// What is stored of the secret.
    #[must_use]
    pub fn secret_hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, self.secret().as_bytes()).as_ref());
        hash
    }

    /// Whether this is the token of which `stored` is kept, in a time that does not depend on either.
    #[must_use]
    pub fn matches(&self, stored: &[u8]) -> bool {
        verify_slices_are_equal(&self.secret_hash(), stored).is_ok()
    }
}

fn letters<const N: usize>(alphabet: &[u8]) -> Result<String, NoRandomness> {
    // Bytes beyond the last whole multiple of the alphabet are thrown away, so that every letter is
    // equally likely.
    let limit = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(N);
    while text.len() < N {
        for byte in random::<64>()? {
            let byte = usize::from(byte);
            if byte < limit && text.len() < N {
                text.push(char::from(alphabet[byte % alphabet.len()]));
            }
        }
    }
    Ok(text)
}

pub(crate) fn checksum(body: &str) -> [char; CHECKSUM_LEN] {
    let mut rest = crc32fast::hash(body.as_bytes()) as usize;
    let mut digits = ['0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = char::from(BASE62[rest % BASE62.len()]);
        rest /= BASE62.len();
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C.4: a token survives its own text, and no changed letter does.
    #[test]
    fn a_changed_letter_is_refused_before_any_look_up() {
        for role in Role::ALL {
            let token = Token::generate(role).expect("randomness");
            let text = token.expose().to_owned();
            let parsed = Token::parse(&text).expect("its own text");
            assert!(parsed.matches(&token.secret_hash()) && parsed.key_id() == token.key_id());
            for place in 0..text.len() {
                let mut changed = text.clone().into_bytes();
                changed[place] = if changed[place] == b'a' { b'b' } else { b'a' };
                let changed = String::from_utf8(changed).expect("ASCII");
                assert!(Token::parse(&changed).is_none(), "letter {place}");
            }
            assert!(!format!("{token:?}").contains(&text[20..40]));
        }
    }
}
