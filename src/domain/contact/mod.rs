//! Contact values: the four fields a person types into a contact form.
//!
//! [`Line`] holds a name or a company, [`Email`] an e-mail address, [`Phone`] a telephone number.
//! The rule: a value of these types has been checked and normalised, so nothing behind this module
//! looks at raw text again. Each `parse` is pure, cheap and free of panics for any input, takes a
//! blank field as absent (`Ok(None)`), and gives the same value again for its own result.
//!
//! Every value is personal data: `Debug` prints the type's name only, there is no `Display`, and
//! the error texts are constants. To add a kind of value, give it its own file with a type, a
//! `parse`, an error and a table test, and build on [`chars`] for what every field refuses.

mod chars;
mod email;
mod phone;
mod text;

pub use email::{Email, EmailError};
pub use phone::{Phone, PhoneError, Region, UnknownRegion};
pub use text::{Line, TextError};

/// The longest contact value, in Unicode characters (scalar values) after trimming and NFC.
///
/// It is also checked before anything expensive, so a hostile value costs no more than a long name.
pub const TEXT_CHARS_MAX: usize = 200;
