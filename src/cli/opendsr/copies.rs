//! Access and portability: a copy for each identity, as a file for its owner only.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use serde_json::json;

use super::{
    super::{file::create, show::clean},
    desk::{Desk, Found, Result, answer},
    document::Ours,
    ids,
    request::RequestType,
};
use crate::pb;

/// Where the copies go, one for each identity that is searched; `None` for an erasure, or where only what would happen
/// is asked for. Fails before a call that leaves a trace.
pub(super) fn targets(desk: &Desk<'_>) -> Result<Option<Vec<PathBuf>>> {
    let args = desk.args;
    if desk.request.kind == RequestType::Erasure || args.dry_run {
        return Ok(None);
    }
    let searches = desk.request.identities.searches.len();
    let out = args.out.as_ref().context(
        "a copy of a person's data needs a place: name a directory, or a file that is not there yet, with --out",
    )?;
    let targets: Vec<PathBuf> = if out.is_dir() {
        let name = |place| match place {
            0 => format!("{}.json", desk.request.id),
            place => format!("{}-{}.json", desk.request.id, place + 1),
        };
        (0..searches).map(|place| out.join(name(place))).collect()
    } else {
        if searches > 1 {
            let text = format!("{searches} identities are searched: --out must be a directory");
            return Err(anyhow!(text).into());
        }
        vec![out.clone()]
    };
    for target in &targets {
        check(target, args.force)?;
    }
    Ok(Some(targets))
}

fn check(target: &Path, force: bool) -> anyhow::Result<()> {
    let name = target.display();
    ensure!(
        force || !target.exists(),
        "{name} is there already; --force replaces it"
    );
    Ok(())
}

/// Writes the copies and tells of them; gives the number of leads.
pub(super) async fn run(
    desk: &Desk<'_>,
    found: &[Found],
    targets: &[PathBuf],
    ours: &mut Ours,
) -> Result<usize> {
    let kind = match desk.request.kind {
        RequestType::Portability => pb::ExportKind::Portability,
        RequestType::Access | RequestType::Erasure => pb::ExportKind::Access,
    };
    let mut leads = 0;
    for (((place, number), found), target) in desk.places().zip(found).zip(targets) {
        let id = ids::act(desk.request.id, number, 0);
        let request = pb::ExportSubjectRequest {
            request: Some(desk.subject(place, id, &found.named)),
            kind: kind.into(),
            format: pb::ExportFormat::Json.into(),
            language: desk.args.language.language.clone(),
        };
        let copy = answer(desk.session.privacy().export_subject(request).await)?;
        create(target, &copy.content, desk.args.force)
            .with_context(|| format!("cannot write {}", target.display()))?;
        let name = target
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        ours.files.push(json!({
            "name": name,
            "content_type": clean(&copy.content_type),
            "sha256": clean(&copy.sha256),
            "leads": copy.leads,
        }));
        leads += usize::try_from(copy.leads).unwrap_or_default();
    }
    Ok(leads)
}
