//! A call that comes again under its key, and is another one.

use lead_intake::{pb, rpc::convert::timestamp};

use super::{draw::Draw, op::Op, state::Model};

impl Draw {
    /// Changes a call that was made before, under its key.
    pub fn twist(&mut self, op: &mut Op, model: &Model) {
        let fresh = self.person(model);
        let other = |request: &mut Option<pb::SubjectRequest>| {
            request.as_mut().unwrap().subject.clone_from(&fresh.subject);
        };
        let key =
            |request: &Option<pb::SubjectRequest>| request.as_ref().unwrap().request_id.clone();
        match op {
            Op::Submit(request) => request.name.push('x'),
            Op::Find(request) if self.below(2) == 0 => other(&mut request.request),
            Op::Export(request) if self.below(2) == 0 => request.kind = 3 - request.kind,
            Op::Export(request) if self.below(2) == 0 => {
                let request = request.request.clone();
                *op = Op::Find(pb::FindSubjectRequest { request });
            }
            Op::Export(request) => other(&mut request.request),
            Op::Erase(request) => match self.below(4) {
                0 => request.ground = 7 - request.ground,
                1 => request.dry_run = !request.dry_run,
                2 => request.confirm_supersedes_restriction = true,
                _ => other(&mut request.request),
            },
            Op::Object(request) if self.below(2) == 0 => request.kind = 3 - request.kind,
            Op::Object(request) => other(&mut request.request),
            Op::Rectify(request) => match self.below(4) {
                0 => request.expected_revision += 1,
                1 => request.lead_id = self.lead(model),
                2 => {
                    request.field_mask = Some(prost_types::FieldMask {
                        paths: ["name", "company", "phone", "email"]
                            .map(str::to_owned)
                            .to_vec(),
                    });
                }
                _ => {
                    let fields = request.fields.as_mut().unwrap();
                    if !fields.email.is_empty() {
                        fields.email.push_str(".no");
                    }
                }
            },
            Op::Restrict(request) => match self.below(3) {
                0 => request.reason = request.reason % 5 + 1,
                1 => request.lead_id = self.lead(model),
                _ => {
                    *op = Op::Lift(pb::LiftRestrictionRequest {
                        request_id: request.request_id.clone(),
                        lead_id: request.lead_id.clone(),
                        reason: request.reason,
                        subject_informed_at: Some(timestamp(model.now)),
                    });
                }
            },
            Op::Lift(request) => request.reason = request.reason % 5 + 1,
            Op::Find(request) => {
                *op = Op::Erase(pb::EraseSubjectRequest {
                    request: Some(pb::SubjectRequest {
                        request_id: key(&request.request),
                        ..fresh
                    }),
                    ground: 1,
                    ..Default::default()
                });
            }
            _ => {}
        }
    }
}
