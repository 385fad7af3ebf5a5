//! Errors that are not about a single field.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::DOMAIN;

/// Nothing to try again.
const NEVER: Option<Duration> = None;
/// Try again when a batch or two is written.
const SOON: Option<Duration> = Some(SOON_IN);
pub(in super::super) const SOON_IN: Duration = Duration::from_millis(200);
/// Try again when the database may be back.
const LATER: Option<Duration> = Some(LATER_IN);
pub(in super::super) const LATER_IN: Duration = Duration::from_secs(1);
/// What gRPC's own libraries heed when they try again by themselves: milliseconds, instead of a wait of their choice.
/// <https://github.com/grpc/proposal/blob/master/A6-client-retries.md>
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Defines [`Refusal`] and its table: name, canonical code, reason, when to try again, text.
macro_rules! refusals {
    ($($name:ident = $code:ident, $reason:literal, $retry:ident, $text:literal;)*) => {
        /// Why a call is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Refusal {
            $(#[doc = concat!("`", $reason, "`.")] $name,)*
        }

        impl Refusal {
            /// Every reason.
            pub(super) const REASONS: &[&str] = &[$($reason),*];

            const fn row(self) -> (Code, &'static str, Option<Duration>, &'static str) {
                match self {
                    $(Self::$name => (Code::$code, $reason, $retry, $text),)*
                }
            }
        }
    };
}

refusals! {
    MalformedMessage = InvalidArgument, "MALFORMED_MESSAGE", NEVER,
        "the message is not well-formed protobuf of this contract";
    MessageTooLarge = OutOfRange, "MESSAGE_TOO_LARGE", NEVER,
        "the message is larger than this method takes";
    AnswerTooLarge = OutOfRange, "ANSWER_TOO_LARGE", NEVER,
        "the answer is larger than this service sends; ask for less";
    MalformedJson = InvalidArgument, "MALFORMED_JSON", NEVER,
        "the message is not well-formed JSON of this contract; the reason's metadata has line and column";
    MessageTooSlow = DeadlineExceeded, "MESSAGE_TOO_SLOW", NEVER,
        "the message did not arrive within 10 s; nothing was stored";
    MethodNotPost = Unimplemented, "METHOD_NOT_POST", NEVER,
        "call methods with POST";
    MediaTypeNotSupported = Unimplemented, "MEDIA_TYPE_NOT_SUPPORTED", NEVER,
        "send the message as content-type: application/json, application/proto or application/grpc";
    StreamNeedsGrpc = Unimplemented, "STREAM_NEEDS_GRPC", NEVER,
        "this method answers with a stream: call it with gRPC or grpc-web, or instead PullLeads or VerifyLedger";
    DeadlineExceeded = DeadlineExceeded, "DEADLINE_EXCEEDED", NEVER,
        "the time for this call was over before its answer; repeat it with the same request_id";
    DeadlinePassed = DeadlineExceeded, "DEADLINE_PASSED", NEVER,
        "no time was left for this call when it came; nothing was done";
    Overloaded = ResourceExhausted, "OVERLOADED", LATER,
        "too many calls are under way; nothing was done, try again";
    ClientCalls = ResourceExhausted, "CLIENT_CALLS_MAX", LATER,
        "this client has too many calls under way; nothing was done, try again";
    ClientRate = ResourceExhausted, "CLIENT_RATE_MAX", LATER,
        "this client calls too often; nothing was done, try again later";
    ClientStreams = ResourceExhausted, "CLIENT_STREAMS_MAX", LATER,
        "this client has too many streams open; end one first";
    UnknownTokens = ResourceExhausted, "UNKNOWN_TOKENS_MAX", LATER,
        "too many unknown tokens are being tried; nothing was done, try again";
    UnknownField = InvalidArgument, "UNKNOWN_FIELD", NEVER,
        "the message has a field that this contract does not have; nothing was stored";
    EncodingNotSupported = Unimplemented, "ENCODING_NOT_SUPPORTED", NEVER,
        "send the message uncompressed, in a form that this method takes";
    UnknownMethod = Unimplemented, "UNKNOWN_METHOD", NEVER,
        "there is no such method";
    TokenMissing = Unauthenticated, "TOKEN_MISSING", NEVER,
        "send one header: authorization: Bearer <token>";
    TokenInvalid = Unauthenticated, "TOKEN_INVALID", NEVER,
        "the token is not valid";
    TokenExpired = Unauthenticated, "TOKEN_EXPIRED", NEVER,
        "the token has expired; ask the operator for a new one";
    TokenRevoked = Unauthenticated, "TOKEN_REVOKED", NEVER,
        "the token was revoked";
    CertificateMissing = Unauthenticated, "CERTIFICATE_MISSING", NEVER,
        "this client's token is taken only on a connection with its certificate";
    CertificateOfAnother = Unauthenticated, "CERTIFICATE_OF_ANOTHER", NEVER,
        "the connection's certificate is that of another client than the token";
    CertificateUnknown = Unauthenticated, "CERTIFICATE_UNKNOWN", NEVER,
        "the certificate's client is not there, or has no token; see the service's operations page";
    RoleNotAllowed = PermissionDenied, "ROLE_NOT_ALLOWED", NEVER,
        "the token's role may not call this method";
    NoticeUnknown = FailedPrecondition, "NOTICE_UNKNOWN", NEVER,
        "there is no privacy notice of this version in force; see GetPrivacyNotice";
    NoticeNotFound = NotFound, "NOTICE_UNKNOWN", NEVER,
        "there is no privacy notice of this version";
    NoticeSuperseded = FailedPrecondition, "NOTICE_SUPERSEDED", NEVER,
        "a newer privacy notice is in force; show that one and submit again";
    LeadErased = FailedPrecondition, "LEAD_ERASED", NEVER,
        "the lead of this request_id was erased; nothing was stored";
    LeadNotFound = NotFound, "LEAD_NOT_FOUND", NEVER,
        "no lead with this identifier may be read";
    LeadRestricted = FailedPrecondition, "LEAD_RESTRICTED", NEVER,
        "the lead is restricted, and not only because its accuracy is contested; nothing was done";
    RevisionMismatch = Aborted, "REVISION_MISMATCH", NEVER,
        "the lead is at another revision; read it again";
    ReasonNotInForce = FailedPrecondition, "REASON_NOT_IN_FORCE", NEVER,
        "the lead is not restricted for this reason; nothing was done";
    SubjectNotInformed = FailedPrecondition, "SUBJECT_NOT_INFORMED", NEVER,
        "tell the person first, then lift with subject_informed_at in the past; nothing was done";
    ReceiptUnknown = NotFound, "RECEIPT_UNKNOWN", NEVER,
        "no erasure was asked for with this request_id";
    CheckpointUnavailable = Unavailable, "CHECKPOINT_UNAVAILABLE", LATER,
        "no checkpoint is signed; try again, or see the operator's log";
    SizeNotReached = OutOfRange, "SIZE_NOT_REACHED", NEVER,
        "the newest checkpoint has fewer entries than since_size; see the service's operations page";
    RequestIdReused = AlreadyExists, "REQUEST_ID_REUSED", NEVER,
        "this request_id was used for something else; use a new one";
    NotACandidate = FailedPrecondition, "NOT_A_CANDIDATE", NEVER,
        "a lead in lead_ids is not among this person's candidates; nothing was done";
    TooManyCandidates = FailedPrecondition, "TOO_MANY_CANDIDATES", NEVER,
        "more than 10000 leads match; name the person more closely";
    CursorInvalid = InvalidArgument, "CURSOR_INVALID", NEVER,
        "the cursor is none that this service issued";
    CursorExpired = OutOfRange, "CURSOR_EXPIRED", NEVER,
        "the cursor is from before a restored backup; start again without one";
    CursorNotDelivered = FailedPrecondition, "CURSOR_NOT_DELIVERED", NEVER,
        "the client was not given this position yet";
    QueueFull = ResourceExhausted, "QUEUE_FULL", SOON,
        "too many submissions are waiting; nothing was stored, try again";
    Contended = Aborted, "CONTENDED", SOON,
        "another call changed the same leads; nothing was done, try again";
    Stopping = Unavailable, "STOPPING", SOON,
        "the server is stopping; connect again, and go on from the last cursor if there is one";
    ReaderStalled = Unavailable, "READER_STALLED", SOON,
        "the stream was not read for too long; connect again, and go on from the last cursor if there is one";
    KeyRingStale = Unavailable, "KEY_RING_STALE", LATER,
        "this replica's key ring is too old and is being read again; try again";
    Unavailable = Unavailable, "STORE_UNAVAILABLE", LATER,
        "the database does not answer; try again with the same request_id";
    StoreFull = ResourceExhausted, "STORE_FULL", LATER,
        "the database's disk is full; nothing was stored, try again later";
    MirrorUnavailable = Unavailable, "MIRROR_UNAVAILABLE", LATER,
        "the copy of the ledger cannot be written; nothing was done, try again";
    Internal = Internal, "INTERNAL", NEVER,
        "something is wrong in the server; the operator's log says what";
}

impl Refusal {
    /// The reason in capitals.
    #[must_use]
    pub fn reason(self) -> &'static str {
        self.row().1
    }

    /// The error, with a line and a column of the JSON text that was sent.
    #[must_use]
    pub fn at(self, (line, column): (usize, usize)) -> Status {
        let place = [("line", line), ("column", column)];
        self.with(
            place
                .map(|(key, number)| (key.to_owned(), number.to_string()))
                .into(),
        )
    }

    /// The error, to be tried again after this time, by libraries too.
    #[must_use]
    pub fn after(self, delay: Duration) -> Status {
        let mut status = self.with_retry(HashMap::new(), Some(delay));
        let millis =
            MetadataValue::from(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).max(1));
        status.metadata_mut().insert(PUSHBACK, millis);
        status
    }

    fn with(self, metadata: HashMap<String, String>) -> Status {
        self.with_retry(metadata, self.row().2)
    }

    fn with_retry(self, metadata: HashMap<String, String>, retry: Option<Duration>) -> Status {
        let (code, reason, _, text) = self.row();
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        if let Some(delay) = retry {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(code, text, details)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        refusal.with(HashMap::new())
    }
}
