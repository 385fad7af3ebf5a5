//! `--json`: the contract's own JSON, made from its descriptors.
//!
//! A message is encoded, decoded again by the descriptors and written as [`crate::rpc::json`] says. To offer one more message,
//! name it in `named!`.

use anyhow::Context as _;
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor};

use super::print;
use crate::{
    pb,
    rpc::json::{CONTRACT, WRITE},
};

/// A message that knows its name in the contract.
pub(super) trait Named: Message {
    /// The full name.
    const NAME: &'static str;
}

macro_rules! named {
    ($($message:ident)*) => {
        $(impl Named for pb::$message {
            const NAME: &'static str = concat!("leadintake.v1.", stringify!($message));
        })*

        /// Every message that is offered.
        #[cfg(test)]
        const NAMES: &[&str] = &[$(<pb::$message as Named>::NAME),*];
    };
}

named! {
    SubmitLeadResponse WithdrawConsentResponse GetPrivacyNoticeResponse
    LeadChange AcknowledgeLeadsResponse GetLeadResponse CloseLeadResponse
    FindSubjectResponse EraseSubjectResponse GetErasureReceiptResponse ErasedLead UnconfirmedLead
    RectifyLeadResponse RestrictLeadResponse LiftRestrictionResponse ObjectToProcessingResponse
    ListEntriesResponse VerifyLedgerResponse GetCheckpointResponse GetStatisticsResponse GetProcessingRecordResponse
}

/// Prints a message for programs, over several lines.
pub(super) fn show<M: Named>(message: &M) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(&value(message)?)?)
}

/// A message for programs, as one line.
pub(super) fn line<M: Named>(message: &M) -> anyhow::Result<String> {
    Ok(serde_json::to_string(&value(message)?)?)
}

/// A message for a file, over several lines.
pub(super) fn pretty<M: Named>(message: &M) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&value(message)?)? + "\n")
}

/// A message from such a file. Fields that the contract does not have are refused.
pub(super) fn read<M: Named + Default>(text: &str) -> anyhow::Result<M> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let message = DynamicMessage::deserialize(descriptor::<M>()?, &mut deserializer)?;
    deserializer.end()?;
    Ok(M::decode(message.encode_to_vec().as_slice())?)
}

fn descriptor<M: Named>() -> anyhow::Result<MessageDescriptor> {
    CONTRACT
        .as_ref()
        .and_then(|pool| pool.get_message_by_name(M::NAME))
        .context("the contract does not describe this message")
}

/// A message as a value.
pub(super) fn value<M: Named>(message: &M) -> anyhow::Result<serde_json::Value> {
    let message = DynamicMessage::decode(descriptor::<M>()?, message.encode_to_vec().as_slice())?;
    Ok(message.serialize_with_options(serde_json::value::Serializer, &WRITE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs get the contract's JSON: what is false is written, what is absent is not.
    #[test]
    fn an_answer_is_canonical_json() {
        let change = pb::LeadChange {
            cursor: "c".to_owned(),
            kind: pb::ChangeKind::Erased.into(),
            lead_id: "l".to_owned(),
            changed_at: Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 0,
            }),
            lead: None,
        };
        assert_eq!(
            line(&change).expect("JSON"),
            r#"{"changedAt":"1970-01-01T00:00:01Z","cursor":"c","kind":"CHANGE_KIND_ERASED","leadId":"l"}"#
        );
        let verified = line(&pb::VerifyLedgerResponse::default()).expect("JSON");
        assert!(verified.contains(r#""intact":false"#), "{verified}");
        assert!(verified.contains(r#""headSequence":"0""#), "{verified}");
    }

    /// A macro wrote the names; the contract has each of them.
    #[test]
    fn every_name_is_in_the_contract() {
        let pool = CONTRACT.as_ref().expect("a contract");
        for name in NAMES {
            assert!(pool.get_message_by_name(name).is_some(), "{name}");
        }
    }
}
