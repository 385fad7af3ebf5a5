//! What the acts share: the session, the request, and how a call of one identity is made and refused.

use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::{
    super::connect::Session,
    ApplyArgs,
    document::ErrorDocument,
    erasure, ids,
    request::{Request, RequestType},
};
use crate::{pb, rpc::convert::timestamp};

/// Why there is no status document.
pub(super) enum Failure {
    /// The answer is an error document.
    Answer(Box<ErrorDocument>),
    /// The command was not used as it must be, or something failed on this machine.
    Here(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Here(error)
    }
}

impl From<ErrorDocument> for Failure {
    fn from(document: ErrorDocument) -> Self {
        Self::Answer(Box::new(document))
    }
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

/// One request being carried out.
pub(super) struct Desk<'a> {
    pub(super) args: &'a ApplyArgs,
    pub(super) request: &'a Request,
    pub(super) session: Session,
}

/// What is held of one identity, before anything is done.
pub(super) struct Found {
    pub(super) leads: Vec<pb::MatchedLead>,
    pub(super) unconfirmed: Vec<pb::UnconfirmedLead>,
    /// Candidates that `--lead-id` names.
    pub(super) named: Vec<String>,
}

impl Found {
    /// Whether a lead is among what is held.
    pub(super) fn holds(&self, lead_id: &str) -> bool {
        let leads = self.leads.iter().map(|lead| &lead.lead_id);
        let perhaps = self.unconfirmed.iter().map(|lead| &lead.lead_id);
        leads.chain(perhaps).any(|held| held == lead_id)
    }
}

impl Desk<'_> {
    /// The request of a call about the identity at this place among the searches.
    pub(super) fn subject(&self, place: usize, id: Uuid, named: &[String]) -> pb::SubjectRequest {
        let search = self.request.identities.searches.get(place);
        let mut subject = search.map(|search| search.subject.clone());
        if let Some(subject) = &mut subject {
            subject.lead_ids = named.to_vec();
        }
        pb::SubjectRequest {
            request_id: id.to_string(),
            received_at: Some(timestamp(self.request.submitted)),
            verification: self.args.verification.number(),
            subject,
        }
    }

    /// The places of the identities that are searched.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, u32)> {
        // At most as many as a file may have.
        (0..self.request.identities.searches.len()).zip(0_u32..)
    }

    /// Looks every identity up before anything is done: what the service finds wrong with one of them stops all.
    pub(super) async fn find(&self) -> Result<Vec<Found>> {
        let mut found: Vec<Found> = Vec::new();
        let mut wrong = Vec::new();
        for (place, number) in self.places() {
            let id = ids::look(self.request.id, number);
            let request = pb::FindSubjectRequest {
                request: Some(self.subject(place, id, &[])),
            };
            match self.session.privacy().find_subject(request).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    let named = self.named(&answer.unconfirmed, &found);
                    found.push(Found {
                        leads: answer.leads,
                        unconfirmed: answer.unconfirmed,
                        named,
                    });
                }
                Err(status) if status.code() == Code::InvalidArgument => {
                    wrong.extend(self.violations(place, &status));
                }
                Err(status) => return Err(ErrorDocument::refused(&status).into()),
            }
        }
        if wrong.is_empty() {
            Ok(found)
        } else {
            // What is wrong with all of them is told once.
            wrong.dedup();
            Err(ErrorDocument::found(wrong).into())
        }
    }

    /// The candidates that the command names. One that two identities have, such as one number written in two ways, is
    /// acted on as the first one's.
    fn named(&self, unconfirmed: &[pb::UnconfirmedLead], before: &[Found]) -> Vec<String> {
        let is_named = |lead: &&pb::UnconfirmedLead| {
            let mut named = self.args.lead_id.iter();
            let mut taken = before.iter().flat_map(|found| &found.named);
            named.any(|id| id.to_string() == lead.lead_id) && !taken.any(|id| *id == lead.lead_id)
        };
        let named = unconfirmed.iter().filter(is_named);
        named.map(|lead| lead.lead_id.clone()).collect()
    }

    /// Fails if the command names a lead that no identity has as a candidate, and no act of this request has touched.
    pub(super) async fn check_named(&self, found: &[Found]) -> Result<()> {
        let named = self.args.lead_id.iter().map(ToString::to_string);
        let held = |id: &String| found.iter().any(|found| found.holds(id));
        let strange: Vec<String> = named.filter(|id| !held(id)).collect();
        if strange.is_empty() {
            return Ok(());
        }
        let touched = match self.request.kind {
            RequestType::Erasure => erasure::touched(self).await?,
            RequestType::Access | RequestType::Portability => Vec::new(),
        };
        if strange.iter().all(|id| touched.contains(id)) {
            Ok(())
        } else {
            Err(ErrorDocument::not_a_candidate().into())
        }
    }

    /// The service's violations, at the paths of the file: path, reason, text.
    fn violations(&self, place: usize, status: &Status) -> Vec<(String, String, String)> {
        let details = status.get_error_details();
        let Some(bad) = details.bad_request() else {
            return vec![(String::new(), "INVALID".to_owned(), "is refused".to_owned())];
        };
        let searches = &self.request.identities.searches;
        let here = searches.get(place).map_or("", |search| &search.path);
        let path = |field: &str| match field {
            "request.subject.email" | "request.subject.phone" => {
                format!("{here}.identity_value")
            }
            "request.received_at" => "submitted_time".to_owned(),
            other => other.to_owned(),
        };
        let violations = bad.field_violations.iter().map(|violation| {
            let text = violation.description.clone();
            (path(&violation.field), violation.reason.clone(), text)
        });
        violations.collect()
    }
}

/// What a call answered, or its refusal as an error document.
pub(super) fn answer<T>(called: std::result::Result<Response<T>, Status>) -> Result<T> {
    called
        .map(Response::into_inner)
        .map_err(|status| ErrorDocument::refused(&status).into())
}
