//! The form that the parts are measured with: made up, and as long as forms are.

use lead_intake::{domain::lead::NewLead, pb, rpc::convert::new_lead};

/// A form as a website sends it.
pub(crate) fn form() -> pb::SubmitLeadRequest {
    pb::SubmitLeadRequest {
        request_id: "01234567-89ab-4def-8123-456789abcdef".to_owned(),
        name: "Kari Nordmann".to_owned(),
        company: "Nordmann Bakeri AS".to_owned(),
        phone: "+4740605600".to_owned(),
        email: "kari.nordmann@example.no".to_owned(),
        lawful_basis: pb::LawfulBasis::PreContract.into(),
        consent: false,
        notice_version: "1.1".to_owned(),
    }
}

/// The same, checked.
pub(crate) fn lead() -> NewLead {
    new_lead(&form(), "NO".parse().unwrap()).unwrap()
}
