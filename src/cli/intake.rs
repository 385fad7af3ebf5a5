//! `submit` and `notice`: what a website backend calls.

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{
    Verdict,
    connect::{ConnectArgs, Session},
    json, print, say,
    show::{clean, clean_text, request_id, time},
};
use crate::{pb, token::Role};

/// Arguments of `submit`.
#[derive(Debug, clap::Args)]
pub(super) struct SubmitArgs {
    /// Name of the person; name or company is required
    #[arg(long)]
    name: Option<SecretString>,
    /// Name of the company
    #[arg(long)]
    company: Option<SecretString>,
    /// Phone number; phone or e-mail is required
    #[arg(long)]
    phone: Option<SecretString>,
    /// E-mail address
    #[arg(long)]
    email: Option<SecretString>,
    /// Why the lead may be processed
    #[arg(long, value_enum)]
    basis: Basis,
    /// The person ticked the consent box
    #[arg(long)]
    consent: bool,
    /// Version of the privacy notice that the person was shown [default: the one in force]
    #[arg(long, value_name = "VERSION")]
    notice_version: Option<String>,
    /// Makes the call safe to repeat [default: a new one]
    #[arg(long, value_name = "UUID")]
    request_id: Option<Uuid>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// The lawful bases.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Basis {
    /// Consent, Art. 6(1)(a)
    Consent = pb::LawfulBasis::Consent as isize,
    /// Steps at the person's request before a contract, Art. 6(1)(b)
    PreContract = pb::LawfulBasis::PreContract as isize,
}

pub(super) async fn submit(args: &SubmitArgs) -> anyhow::Result<Verdict> {
    let session = args.connect.connect(Role::Intake).await?;
    let notice_version = match &args.notice_version {
        Some(version) => version.clone(),
        None => fetch(&session, String::new(), String::new()).await?.version,
    };
    let text = |value: &Option<SecretString>| {
        let value = value.as_ref().map(|value| value.expose_secret().to_owned());
        value.unwrap_or_default()
    };
    let request = pb::SubmitLeadRequest {
        request_id: request_id(args.request_id)?,
        name: text(&args.name),
        company: text(&args.company),
        phone: text(&args.phone),
        email: text(&args.email),
        lawful_basis: args.basis as i32,
        consent: args.consent,
        notice_version,
    };
    let answer = session.intake().submit_lead(request).await;
    let answer = answer
        .map_err(|status| session.refused(&status))?
        .into_inner();
    if args.json {
        json::show(&answer)?;
        return Ok(Verdict::Yes);
    }
    print(&format!(
        "lead {}\nsubmitted at {}\nerased by {}",
        clean(&answer.lead_id),
        time(answer.submitted_at.as_ref()),
        time(answer.erase_by.as_ref())
    ))?;
    if !answer.consent_receipt.is_empty() {
        print(&format!(
            "consent receipt:\n{}",
            clean_text(&answer.consent_receipt)
        ))?;
    }
    Ok(Verdict::Yes)
}

/// Arguments of `notice`.
#[derive(Debug, clap::Args)]
pub(super) struct NoticeArgs {
    /// Version [default: the one in force]
    #[arg(long, default_value = "", hide_default_value = true)]
    version: String,
    /// Language: nb or en [default: nb]
    #[arg(long, default_value = "", hide_default_value = true)]
    language: String,
    /// As JSON: every fact of Art. 13 as a field
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn notice(args: &NoticeArgs) -> anyhow::Result<Verdict> {
    let session = args.connect.connect(Role::Intake).await?;
    let notice = fetch(&session, args.version.clone(), args.language.clone()).await?;
    if args.json {
        json::show(&notice)?;
        return Ok(Verdict::Yes);
    }
    say(&format!(
        "version {}, in force from {}, sha256 {}",
        clean(&notice.version),
        clean(&notice.effective_from),
        clean(&notice.sha256)
    ));
    print(clean_text(&notice.text).trim_end())?;
    Ok(Verdict::Yes)
}

async fn fetch(
    session: &Session,
    version: String,
    language: String,
) -> anyhow::Result<pb::GetPrivacyNoticeResponse> {
    let request = pb::GetPrivacyNoticeRequest { version, language };
    let answer = session.intake().get_privacy_notice(request).await;
    Ok(answer
        .map_err(|status| session.refused(&status))?
        .into_inner())
}
