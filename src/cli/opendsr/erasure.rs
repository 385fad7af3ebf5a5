//! An erasure: the first act on each identity, later ones after somebody decided, and the receipts of all of them.
//!
//! Everything is known by its receipt, so a file that comes again finds what was done, and shows where it stands. An
//! act is done once: leads that are newer than it are none of its business.

use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::{
    super::json,
    desk::{Desk, Found, Result, answer},
    document::{ErrorDocument, Open, Ours},
    ids,
};
use crate::pb;

/// Decisions about one identity: more than anybody makes, so that a loop ends.
const ACTS_MAX: u32 = 100;
/// How often, and how long apart, a receipt is asked for while the disk is not clean yet: it takes a moment.
const CLEAN_UP_LOOKS: u32 = 20;
const CLEAN_UP_PAUSE: Duration = Duration::from_millis(100);

const RETAINED: (&str, &str) = (
    "LEAD_RETAINED",
    "is kept for the controller's legal claim (Art. 17(3)(e)): tell the person what stands under refusal; when the \
     claim has ended, lift the restriction and erase it",
);
const UNDECIDED: (&str, &str) = (
    "CONFIRMATION_NEEDED",
    "is restricted at the person's own wish: ask the person, then run this again with \
     --confirm-supersedes-restriction",
);
const UNACKNOWLEDGED: (&str, &str) = (
    "CRM_NOT_ACKNOWLEDGED",
    "was given leads and has not acknowledged that they are erased (Art. 19): run this again later",
);
const OVERDUE: (&str, &str) = (
    "CRM_OVERDUE",
    "was given leads and has not acknowledged in time that they are erased (Art. 19): see why it does not",
);
const NOT_CLEAN: (&str, &str) = (
    "CLEAN_UP_PENDING",
    "has sealed bytes in the database's log still: run this again in a moment",
);

/// What became of a lead, by the last act that touched it.
struct Standing {
    lead: pb::ErasedLead,
    is_held: bool,
}

/// Erases, or in a dry run tells what would be; fills in the answer and gives the number of leads.
pub(super) async fn run(desk: &Desk<'_>, found: &[Found], ours: &mut Ours) -> Result<usize> {
    let mut standings: Vec<Standing> = Vec::new();
    let mut acts = Vec::new();
    for ((place, number), found) in desk.places().zip(found) {
        for (id, erased) in acts_on(desk, place, number, found).await? {
            acts.push(id);
            for lead in erased.leads {
                let was_erased = lead.outcome() == pb::ErasureOutcome::Erased;
                let is_held = found.holds(&lead.lead_id) && (ours.dry_run || !was_erased);
                standings.retain(|known| known.lead.lead_id != lead.lead_id);
                standings.push(Standing { lead, is_held });
            }
        }
    }
    for Standing { lead, is_held } in &standings {
        let mut shown = json::value(lead)?;
        shown["held"] = (*is_held).into();
        ours.leads.push(shown);
        let why = match lead.outcome() {
            pb::ErasureOutcome::Retained if *is_held => RETAINED,
            pb::ErasureOutcome::NeedsConfirmation if *is_held => UNDECIDED,
            _ => continue,
        };
        ours.open.push(Open::new(why, &lead.lead_id));
    }
    if !ours.dry_run {
        for receipt in receipts(desk, &acts).await? {
            for open in open(&receipt) {
                ours.note_open(open);
            }
            let mut shown = json::value(&receipt)?;
            if let Some(shown) = shown.as_object_mut() {
                shown.remove("proofAbsence");
            }
            ours.receipts.push(shown);
        }
    }
    Ok(standings.len())
}

/// The leads that acts of this request have touched.
pub(super) async fn touched(desk: &Desk<'_>) -> Result<Vec<String>> {
    let mut touched = Vec::new();
    for (_, number) in desk.places() {
        for later in 0..ACTS_MAX {
            let id = ids::act(desk.request.id, number, later);
            let Some(receipt) = receipt(desk, id).await? else {
                break;
            };
            let entries = receipt.receipt.into_iter().flat_map(|told| told.entries);
            touched.extend(entries.map(|entry| entry.lead_id));
        }
    }
    Ok(touched)
}

/// The acts on one identity, with their answers: the first, those that came later, and one more if a decision that
/// is given now asks for it.
async fn acts_on(
    desk: &Desk<'_>,
    place: usize,
    number: u32,
    found: &Found,
) -> Result<Vec<(Uuid, pb::EraseSubjectResponse)>> {
    let erase = async |id: Uuid, is_decided: bool| {
        let named: &[String] = if is_decided { &found.named } else { &[] };
        let confirm = is_decided && desk.args.confirm_supersedes_restriction;
        let request = pb::EraseSubjectRequest {
            request: Some(desk.subject(place, id, named)),
            ground: desk.args.ground(),
            dry_run: desk.args.dry_run,
            confirm_supersedes_restriction: confirm,
            language: desk.args.language.language.clone(),
        };
        let erased = answer(desk.session.privacy().erase_subject(request).await)?;
        Result::Ok((id, erased))
    };
    let first = ids::act(desk.request.id, number, 0);
    if desk.args.dry_run || receipt(desk, first).await?.is_none() {
        return Ok(vec![erase(first, true).await?]);
    }
    let mut acts = vec![erase(first, false).await?];
    for later in 1..ACTS_MAX {
        let id = ids::act(desk.request.id, number, later);
        if receipt(desk, id).await?.is_some() {
            acts.push(erase(id, false).await?);
        } else {
            if is_decided(desk, found, &acts) {
                acts.push(erase(id, true).await?);
            }
            break;
        }
    }
    Ok(acts)
}

/// Whether something that the acts left is decided by what the command was given now.
fn is_decided(desk: &Desk<'_>, found: &Found, acts: &[(Uuid, pb::EraseSubjectResponse)]) -> bool {
    let last = |lead_id: &str| {
        let leads = acts.iter().rev().flat_map(|(_, act)| &act.leads);
        leads.into_iter().find(|lead| lead.lead_id == lead_id)
    };
    let is_new = |lead_id: &String| last(lead_id).is_none();
    let awaits = |lead: &pb::MatchedLead| {
        last(&lead.lead_id)
            .is_some_and(|last| last.outcome() == pb::ErasureOutcome::NeedsConfirmation)
    };
    found.named.iter().any(is_new)
        || desk.args.confirm_supersedes_restriction && found.leads.iter().any(awaits)
}

/// The receipt of an act as it stands now; `None` if there was no such act.
async fn receipt(desk: &Desk<'_>, id: Uuid) -> Result<Option<pb::GetErasureReceiptResponse>> {
    let request = pb::GetErasureReceiptRequest {
        request_id: id.to_string(),
        since_size: 0,
    };
    match desk.session.privacy().get_erasure_receipt(request).await {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == Code::NotFound && is_unknown(&status) => Ok(None),
        Err(status) => Err(ErrorDocument::refused(&status).into()),
    }
}

fn is_unknown(status: &tonic::Status) -> bool {
    let details = status.get_error_details();
    let info = details.error_info();
    info.is_some_and(|info| info.reason == "RECEIPT_UNKNOWN")
}

/// The receipts of the acts, without their proofs: `receipt --output` keeps those.
async fn receipts(desk: &Desk<'_>, acts: &[Uuid]) -> Result<Vec<pb::GetErasureReceiptResponse>> {
    let mut receipts = Vec::new();
    for id in acts {
        let mut looks = 0;
        let mut found = loop {
            let found = receipt(desk, *id).await?;
            let is_pending = found
                .as_ref()
                .is_some_and(|found| found.clean_up() == pb::CleanUp::Pending);
            looks += 1;
            if !is_pending || looks == CLEAN_UP_LOOKS {
                break found;
            }
            tokio::time::sleep(CLEAN_UP_PAUSE).await;
        };
        if let Some(found) = &mut found {
            found.proof = None;
            found.proof_absence = 0;
        }
        receipts.extend(found);
    }
    Ok(receipts)
}

/// What a receipt leaves open.
fn open(receipt: &pb::GetErasureReceiptResponse) -> Vec<Open> {
    let mut open: Vec<_> = receipt
        .recipients
        .iter()
        .filter(|had| had.overdue || had.acknowledged < had.leads)
        .map(|had| {
            let why = if had.overdue { OVERDUE } else { UNACKNOWLEDGED };
            Open::new(why, &had.client)
        })
        .collect();
    if receipt.clean_up() == pb::CleanUp::Pending {
        let id = receipt.receipt.as_ref().map(|receipt| &*receipt.request_id);
        open.push(Open::new(NOT_CLEAN, id.unwrap_or_default()));
    }
    open
}
