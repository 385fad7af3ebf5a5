//! What can be wrong with a file: a reason for programs, a text for people. Texts are constants, and a place is a path
//! of the file's own fields: no fault holds a value of the file.

/// Defines [`Fault`] and its table: name, reason, text.
macro_rules! faults {
    ($($name:ident = $reason:literal, $text:literal;)*) => {
        /// What is wrong at one place.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Fault {
            $($name,)*
        }

        impl Fault {
            /// The reason in capitals, and the text.
            pub(super) const fn row(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($reason, $text),)*
                }
            }
        }
    };
}

faults! {
    Required = "REQUIRED", "is required";
    WrongKind = "WRONG_KIND", "has a value of another kind than this field";
    UnknownValue = "UNKNOWN_VALUE", "is none of the values that OpenDSR 2.0 has";
    UnknownField = "UNKNOWN_FIELD", "has a field that OpenDSR 2.0 does not have there";
    UuidInvalid = "UUID_INVALID", "is not a UUID of version 4 in lower case";
    TimeInvalid = "TIME_INVALID", "is not an RFC 3339 time with its offset";
    TimeInFuture = "TIME_IN_FUTURE", "is in the future";
    TooMany = "TOO_MANY", "has too many items: 100 at most";
    EmailInvalid = "EMAIL_INVALID", "is not an e-mail address";
    TooLong = "TOO_LONG", "is too long";
    ControlCharacter = "CONTROL_CHARACTER", "must be a single line without control characters";
    VersionNotSupported = "VERSION_NOT_SUPPORTED", "is another version than 2.0";
    RegulationNotSupported = "REGULATION_NOT_SUPPORTED",
        "is not gdpr: the grounds, deadlines and refusals here are those of the GDPR, which holds for every person \
         whose enquiry this controller has (Art. 3(1)); ask for its rights with gdpr";
    HashNotSearchable = "HASH_NOT_SEARCHABLE",
        "cannot be searched: addresses are kept under a keyed hash that nobody else can make; ask for the raw value";
    NotHeld = "NOT_HELD", "is not held: no device, advertising or customer identifier is stored";
    NothingToSearch = "NOTHING_TO_SEARCH", "has nothing that can be searched: a raw email or phone is needed";
}

/// A fault and its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    /// The field's path in the file; empty for the file as a whole.
    pub(super) path: String,
    pub(super) fault: Fault,
}

/// Everything that is wrong with a file.
#[derive(Debug, Default)]
pub(super) struct Violations(pub(super) Vec<Violation>);

impl Violations {
    /// Notes a fault, unless the place has one already.
    pub(super) fn add(&mut self, path: &str, fault: Fault) {
        if !self.0.iter().any(|known| known.path == path) {
            let path = path.to_owned();
            self.0.push(Violation { path, fault });
        }
    }
}
