//! One step of a run: a call, or a move of the clock; and its answer in a form that can be compared.

use lead_intake::pb;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tonic::{Code, Response, Status};

/// A step. The numbers are those of the world's CRM clients.
#[derive(Clone)]
pub enum Op {
    Submit(pb::SubmitLeadRequest),
    Withdraw(pb::WithdrawConsentRequest),
    Pull(usize, pb::PullLeadsRequest),
    Acknowledge(usize, pb::AcknowledgeLeadsRequest),
    Get(usize, pb::GetLeadRequest),
    Close(usize, pb::CloseLeadRequest),
    Find(pb::FindSubjectRequest),
    Export(pb::ExportSubjectRequest),
    Erase(pb::EraseSubjectRequest),
    Object(pb::ObjectToProcessingRequest),
    Rectify(pb::RectifyLeadRequest),
    Restrict(pb::RestrictLeadRequest),
    Lift(pb::LiftRestrictionRequest),
    /// A round of the sweep that trusts the clock.
    Sweep,
    /// Seconds on.
    Wait(i64),
}

/// An answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// Name of the message, and its bytes.
    Done(&'static str, Vec<u8>),
    Refused(Code, String),
    /// So many leads were erased.
    Swept(u64),
    Waited,
}

impl Answer {
    pub fn done(name: &'static str, message: &impl Message) -> Self {
        Self::Done(name, message.encode_to_vec())
    }

    pub fn of<M: Message>(name: &'static str, answer: &Result<M, Status>) -> Self {
        match answer {
            Ok(message) => Self::done(name, message),
            Err(status) => Self::Refused(status.code(), crate::support::reason(status)),
        }
    }

    /// What kind of answer it is.
    pub fn name(&self) -> &str {
        match self {
            Self::Done(..) => "done",
            Self::Refused(_, reason) => reason,
            Self::Swept(_) => "swept",
            Self::Waited => "waited",
        }
    }

    pub fn show(&self) -> String {
        match self {
            Self::Done(name, bytes) => show(name, bytes),
            Self::Refused(code, reason) => format!("{code:?} {reason}"),
            Self::Swept(leads) => format!("swept {leads}"),
            Self::Waited => "waited".to_owned(),
        }
    }
}

/// Where two answers to a step differ.
pub fn difference(op: &Op, answered: &Answer, expected: &Answer) -> String {
    /// Characters around the first difference.
    const AROUND: usize = 300;
    let (answered, expected) = (answered.show(), expected.show());
    let same = answered.bytes().zip(expected.bytes());
    let same = same.take_while(|(one, other)| one == other).count();
    let part = |text: &str| {
        let from = text.floor_char_boundary(same.saturating_sub(AROUND));
        let to = text.floor_char_boundary(same + AROUND);
        text[from..to].to_owned()
    };
    format!(
        "{}\n  answered {}\n  expected {}",
        op.show(),
        part(&answered),
        part(&expected)
    )
}

/// What a call answered, without its headers.
pub fn inner<M>(answer: Result<Response<M>, Status>) -> Result<M, Status> {
    answer.map(Response::into_inner)
}

impl Op {
    /// What kind of step it is.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Submit(_) => "submit",
            Self::Withdraw(_) => "withdraw",
            Self::Pull(..) => "pull",
            Self::Acknowledge(..) => "acknowledge",
            Self::Get(..) => "get",
            Self::Close(..) => "close",
            Self::Find(_) => "find",
            Self::Export(_) => "export",
            Self::Erase(_) => "erase",
            Self::Object(_) => "object",
            Self::Rectify(_) => "rectify",
            Self::Restrict(_) => "restrict",
            Self::Lift(_) => "lift",
            Self::Sweep => "sweep",
            Self::Wait(_) => "wait",
        }
    }

    /// The step in full: the messages themselves print nothing.
    pub fn show(&self) -> String {
        let of = |name, bytes: Vec<u8>| show(name, &bytes);
        match self {
            Self::Submit(it) => of("SubmitLeadRequest", it.encode_to_vec()),
            Self::Withdraw(it) => of("WithdrawConsentRequest", it.encode_to_vec()),
            Self::Pull(by, it) => format!("{by}: {}", of("PullLeadsRequest", it.encode_to_vec())),
            Self::Acknowledge(by, it) => {
                format!(
                    "{by}: {}",
                    of("AcknowledgeLeadsRequest", it.encode_to_vec())
                )
            }
            Self::Get(by, it) => format!("{by}: {}", of("GetLeadRequest", it.encode_to_vec())),
            Self::Close(by, it) => format!("{by}: {}", of("CloseLeadRequest", it.encode_to_vec())),
            Self::Find(it) => of("FindSubjectRequest", it.encode_to_vec()),
            Self::Export(it) => of("ExportSubjectRequest", it.encode_to_vec()),
            Self::Erase(it) => of("EraseSubjectRequest", it.encode_to_vec()),
            Self::Object(it) => of("ObjectToProcessingRequest", it.encode_to_vec()),
            Self::Rectify(it) => of("RectifyLeadRequest", it.encode_to_vec()),
            Self::Restrict(it) => of("RestrictLeadRequest", it.encode_to_vec()),
            Self::Lift(it) => of("LiftRestrictionRequest", it.encode_to_vec()),
            Self::Sweep => "sweep".to_owned(),
            Self::Wait(seconds) => format!("wait {seconds} s"),
        }
    }
}

fn show(name: &str, bytes: &[u8]) -> String {
    let pool = DescriptorPool::decode(pb::DESCRIPTORS).unwrap();
    let message = pool.get_message_by_name(&format!("leadintake.v1.{name}"));
    let message = DynamicMessage::decode(message.unwrap(), bytes).unwrap();
    format!("{name} {message}")
}
