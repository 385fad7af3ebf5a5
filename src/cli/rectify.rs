//! `rectify`: the correct values of a lead's fields.
//!
//! What is given is what is set: the call's mask names those fields and no others. An empty value on the command line
//! is refused, since an unset variable of a shell looks the same; a field is cleared by saying so.

use std::path::PathBuf;

use anyhow::ensure;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::{
    Verdict, answer::AnswerArgs, asked::AskedArgs, file::read_json, given, privacy::due,
    subject::text,
};
use crate::{pb, token::Role};

/// Arguments of `rectify`.
#[derive(Debug, clap::Args)]
pub(super) struct RectifyArgs {
    /// Identifier of the lead
    #[arg(value_parser = given::uuid)]
    lead_id: Uuid,
    /// The revision that was seen: nothing is done if the lead has moved on
    #[arg(long, value_name = "N")]
    expected_revision: i64,
    #[command(flatten)]
    fields: FieldArgs,
    #[command(flatten)]
    asked: AskedArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// The correct values, of which at least one is given.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct FieldArgs {
    /// Name of the person; others on this machine see it here: see --fields-file
    #[arg(long, help_heading = "Fields")]
    name: Option<SecretString>,
    /// Name of the company; as --name
    #[arg(long, help_heading = "Fields")]
    company: Option<SecretString>,
    /// Phone number; as --name
    #[arg(long, help_heading = "Fields")]
    phone: Option<SecretString>,
    /// E-mail address; as --name
    #[arg(long, help_heading = "Fields")]
    email: Option<SecretString>,
    /// Field to clear; repeatable
    #[arg(long, value_enum, value_name = "FIELD", help_heading = "Fields")]
    clear: Vec<Field>,
    #[arg(long, help = "JSON file with name, company, phone, email: those to set; \"\" clears; - for standard input", value_name = "FILE", conflicts_with_all = ["name", "company", "phone", "email", "clear"], help_heading = "Fields")]
    fields_file: Option<PathBuf>,
}

/// The fields of a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Field {
    /// Name of the person
    Name,
    /// Name of the company
    Company,
    /// Phone number
    Phone,
    /// E-mail address
    Email,
}

impl Field {
    const ALL: [Self; 4] = [Self::Name, Self::Company, Self::Phone, Self::Email];

    /// As the call's mask names it.
    const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Company => "company",
            Self::Phone => "phone",
            Self::Email => "email",
        }
    }
}

/// The file. It has no `Debug`: it names a person.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FieldsFile {
    #[serde(deserialize_with = "given")]
    name: Option<String>,
    #[serde(deserialize_with = "given")]
    company: Option<String>,
    #[serde(deserialize_with = "given")]
    phone: Option<String>,
    #[serde(deserialize_with = "given")]
    email: Option<String>,
}

/// A field that is there must be a text: `null` says neither "clear" nor "leave".
fn given<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    String::deserialize(source).map(Some)
}

impl FieldArgs {
    /// The mask and the values.
    fn fields(&self) -> anyhow::Result<(Vec<String>, pb::LeadFields)> {
        let file = match &self.fields_file {
            Some(path) => read_json(
                path,
                "must be a JSON object with texts for some of \"name\", \"company\", \"phone\" and \
                 \"email\", and nothing else",
            )?,
            None => self.flags()?,
        };
        let mask = Field::ALL.into_iter().filter(|field| match field {
            Field::Name => file.name.is_some(),
            Field::Company => file.company.is_some(),
            Field::Phone => file.phone.is_some(),
            Field::Email => file.email.is_some(),
        });
        let mask = mask.map(|field| field.name().to_owned()).collect();
        let fields = pb::LeadFields {
            name: file.name.unwrap_or_default(),
            company: file.company.unwrap_or_default(),
            phone: file.phone.unwrap_or_default(),
            email: file.email.unwrap_or_default(),
        };
        Ok((mask, fields))
    }

    fn flags(&self) -> anyhow::Result<FieldsFile> {
        let value = |field: Field, given: &Option<SecretString>| -> anyhow::Result<_> {
            let (name, given) = (field.name(), given.as_ref().map(|value| text(Some(value))));
            let is_empty = given.as_ref().is_some_and(String::is_empty);
            ensure!(!is_empty, "--{name} is empty; --clear {name} clears it");
            let clear = self.clear.contains(&field);
            ensure!(
                !clear || given.is_none(),
                "--{name} sets what --clear {name} clears: say one of them"
            );
            Ok(if clear { Some(String::new()) } else { given })
        };
        Ok(FieldsFile {
            name: value(Field::Name, &self.name)?,
            company: value(Field::Company, &self.company)?,
            phone: value(Field::Phone, &self.phone)?,
            email: value(Field::Email, &self.email)?,
        })
    }
}

pub(super) async fn run(args: &RectifyArgs) -> anyhow::Result<Verdict> {
    let (paths, fields) = args.fields.fields()?;
    let session = args.answer.connect(Role::Privacy).await?;
    let request = pb::RectifyLeadRequest {
        request_id: args.asked.id()?,
        lead_id: args.lead_id.to_string(),
        field_mask: Some(prost_types::FieldMask { paths }),
        fields: Some(fields),
        expected_revision: args.expected_revision,
        received_at: args.asked.received_at(),
        verification: args.asked.verification(),
    };
    let answer = session.answer(session.privacy().rectify_lead(request).await)?;
    args.answer.print(&answer, |answer| {
        let revision = answer.revision;
        format!(
            "corrected: now at revision {revision}\n{}",
            due(answer.due_at.as_ref())
        )
    })?;
    Ok(Verdict::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> FieldArgs {
        FieldArgs {
            name: None,
            company: None,
            phone: None,
            email: None,
            clear: Vec::new(),
            fields_file: None,
        }
    }

    /// Only what was said is changed: what is not given is not in the mask.
    #[test]
    fn art_16_the_mask_is_what_was_given() {
        let args = FieldArgs {
            phone: Some("40605600".to_owned().into()),
            clear: vec![Field::Company],
            ..flags()
        };
        let (mask, fields) = args.fields().expect("fields");
        assert_eq!(mask, ["company", "phone"]);
        assert_eq!(fields.phone, "40605600");
        assert!(fields.company.is_empty());
    }

    /// An unset variable of a shell clears nothing.
    #[test]
    fn case_an_empty_value_is_no_order_to_clear() {
        let mut args = FieldArgs {
            name: Some(String::new().into()),
            ..flags()
        };
        let refused = args.fields().map(drop).expect_err("empty").to_string();
        assert!(refused.contains("--clear name"), "{refused}");
        args.name = Some("Kari".to_owned().into());
        args.clear.push(Field::Name);
        let refused = args.fields().map(drop).expect_err("both").to_string();
        assert!(!refused.contains("Kari"), "{refused}");
    }

    #[test]
    fn a_field_of_a_file_is_a_text_or_not_there() {
        let parse = serde_json::from_str::<FieldsFile>;
        let file = parse(r#"{"email": ""}"#).expect("a file");
        assert!(file.email.is_some_and(|email| email.is_empty()) && file.name.is_none());
        assert!(parse(r#"{"email": null}"#).is_err());
        assert!(parse(r#"{"address": "here"}"#).is_err());
    }
}
