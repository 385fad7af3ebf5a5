//! `submit` and `notice`: what a website backend calls.

use secrecy::SecretString;

use super::{
    Verdict,
    answer::{AnswerArgs, LanguageArgs},
    asked::RequestIdArgs,
    connect::Session,
    say,
    show::{clean, clean_text, time},
    subject::text,
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
    #[command(flatten)]
    id: RequestIdArgs,
    #[command(flatten)]
    answer: AnswerArgs,
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
    let session = args.answer.connect(Role::Intake).await?;
    let notice_version = match &args.notice_version {
        Some(version) => version.clone(),
        None => fetch(&session, String::new(), String::new()).await?.version,
    };
    let request = pb::SubmitLeadRequest {
        request_id: args.id.id()?,
        name: text(args.name.as_ref()),
        company: text(args.company.as_ref()),
        phone: text(args.phone.as_ref()),
        email: text(args.email.as_ref()),
        lawful_basis: args.basis as i32,
        consent: args.consent,
        notice_version,
    };
    let answer = session.answer(session.intake().submit_lead(request).await)?;
    args.answer.print(&answer, stored)?;
    Ok(Verdict::Yes)
}

fn stored(answer: &pb::SubmitLeadResponse) -> String {
    let mut text = format!(
        "lead {}\nsubmitted at {}\nerased by {}",
        clean(&answer.lead_id),
        time(answer.submitted_at.as_ref()),
        time(answer.erase_by.as_ref())
    );
    if !answer.consent_receipt.is_empty() {
        text.push_str("\nconsent receipt:\n");
        text.push_str(&clean_text(&answer.consent_receipt));
    }
    text
}

/// Arguments of `notice`.
#[derive(Debug, clap::Args)]
pub(super) struct NoticeArgs {
    /// Version [default: the one in force]
    #[arg(long, default_value = "", hide_default_value = true)]
    version: String,
    #[command(flatten)]
    language: LanguageArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(super) async fn notice(args: &NoticeArgs) -> anyhow::Result<Verdict> {
    let session = args.answer.connect(Role::Intake).await?;
    let language = args.language.language.clone();
    let notice = fetch(&session, args.version.clone(), language).await?;
    args.answer.print(&notice, shown)?;
    Ok(Verdict::Yes)
}

/// The text on standard output is exactly the notice's; what it is goes beside it.
fn shown(notice: &pb::GetPrivacyNoticeResponse) -> String {
    say(&format!(
        "version {}, in force from {}, sha256 {}",
        clean(&notice.version),
        clean(&notice.effective_from),
        clean(&notice.sha256)
    ));
    clean_text(&notice.text).trim_end().to_owned()
}

async fn fetch(
    session: &Session,
    version: String,
    language: String,
) -> anyhow::Result<pb::GetPrivacyNoticeResponse> {
    let request = pb::GetPrivacyNoticeRequest { version, language };
    session.answer(session.intake().get_privacy_notice(request).await)
}
