//! `record`: the record of processing activities (Art. 30). As a table every stored column with its reason; as a file
//! the whole record, to be handed to the authority that asks for it.

use comfy_table::ContentArrangement;

use super::{
    Verdict,
    answer::{AnswerArgs, LanguageArgs},
    file::OutputArgs,
    say,
    show::{clean, table},
};
use crate::{pb, token::Role};

/// The widest line of the table, in columns.
const WIDTH: u16 = 120;

/// Arguments of `record`.
#[derive(Debug, clap::Args)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    language: LanguageArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(super) async fn run(args: &RecordArgs) -> anyhow::Result<Verdict> {
    args.output.check()?;
    let session = args.answer.connect(Role::Auditor).await?;
    let request = pb::GetProcessingRecordRequest {
        language: args.language.language.clone(),
    };
    let answer = session.answer(session.ledger().get_processing_record(request).await)?;
    let is_filed = args.output.write(answer.record.as_bytes())?;
    if !is_filed || args.answer.is_json() {
        args.answer.print(&answer, inventory)?;
    }
    if !is_filed {
        say("the whole record as JSON-LD: --output FILE");
    }
    Ok(Verdict::Yes)
}

fn inventory(answer: &pb::GetProcessingRecordResponse) -> String {
    let mut rows = table(["table", "column", "why", "basis", "kept"]);
    rows.set_content_arrangement(ContentArrangement::Dynamic);
    rows.set_width(WIDTH);
    for item in &answer.inventory {
        let cells = [
            &item.table,
            &item.column,
            &item.reason,
            &item.lawful_basis,
            &item.retention,
        ];
        rows.add_row(cells.map(|cell| clean(cell)));
    }
    rows.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Art. 30: every stored column has its line, and long reasons do not widen the table.
    #[test]
    fn art_30_every_column_has_its_reason() {
        let item = pb::InventoryItem {
            table: "lead".to_owned(),
            column: "email_index".to_owned(),
            reason: "found by ".repeat(30),
            lawful_basis: "6(1)(b)".to_owned(),
            retention: "with the row".to_owned(),
        };
        let text = inventory(&pb::GetProcessingRecordResponse {
            record: String::new(),
            inventory: vec![item],
        });
        assert!(
            text.contains("email_index") && text.contains("6(1)(b)"),
            "{text}"
        );
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(WIDTH.into()), "{text}");
    }
}
