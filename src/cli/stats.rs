//! `stats`: how many leads are held, which answers are late, which tombstones a CRM has still to acknowledge. Counts
//! only, so it may be shown to anyone; whether a count is too high is for its reader to say, so it ends with 0.

use super::{
    Verdict,
    answer::AnswerArgs,
    show::{bar, clean, elapsed, table, word},
};
use crate::{pb, token::Role};

/// Arguments of `stats`.
#[derive(Debug, clap::Args)]
pub(super) struct StatsArgs {
    #[command(flatten)]
    answer: AnswerArgs,
}

pub(super) async fn run(args: &StatsArgs) -> anyhow::Result<Verdict> {
    let session = args.answer.connect(Role::Auditor).await?;
    let request = pb::GetStatisticsRequest {};
    let answer = session.answer(session.ledger().get_statistics(request).await)?;
    args.answer.print(&answer, words)?;
    Ok(Verdict::Yes)
}

fn words(answer: &pb::GetStatisticsResponse) -> String {
    let counts = &answer.leads[..];
    let held: i64 = counts.iter().map(|count| count.leads).sum();
    let mut parts = vec![format!("{held} lead(s) held")];
    if held > 0 {
        let state = |count: &pb::LeadCount| word(count.state().as_str_name(), "LEAD_STATE");
        let basis =
            |count: &pb::LeadCount| word(count.lawful_basis().as_str_name(), "LAWFUL_BASIS");
        parts.push(sums("state", &by(counts, state)));
        parts.push(sums("lawful basis", &by(counts, basis)));
        let ages = by(counts, |count| count.age_months);
        let ages: Vec<_> = ages.iter().map(|(age, n)| (months(*age), *n)).collect();
        parts.push(sums("age", &ages));
    }
    if !answer.consumers.is_empty() {
        let mut rows = table(["client", "tombstones to acknowledge", "the oldest for"]);
        for consumer in &answer.consumers {
            let open = consumer.unacknowledged_erasures;
            let oldest = Some(consumer.oldest_unacknowledged_seconds).filter(|_| open > 0);
            rows.add_row([
                clean(&consumer.client),
                open.to_string(),
                oldest.map_or_else(String::new, elapsed),
            ]);
        }
        parts.push(rows.to_string());
    }
    parts.push(format!(
        "{} lead(s) whose time is over are kept by a restriction",
        answer.overdue_restricted
    ));
    parts.push(format!(
        "{} request(s) open, {} of them past their due date; {} answered late",
        answer.open_requests, answer.overdue_requests, answer.answered_late
    ));
    parts.join("\n")
}

/// The leads of each key, in the order of the keys.
fn by<K: Ord>(counts: &[pb::LeadCount], key: impl Fn(&pb::LeadCount) -> K) -> Vec<(K, i64)> {
    let mut sums = std::collections::BTreeMap::new();
    for count in counts {
        *sums.entry(key(count)).or_insert(0) += count.leads;
    }
    sums.into_iter().collect()
}

fn sums(title: &str, sums: &[(String, i64)]) -> String {
    let most = sums.iter().map(|(_, leads)| *leads).max().unwrap_or(0);
    let all = sums.iter().map(|(_, leads)| *leads).sum();
    let mut rows = table([title, "leads", "", ""]);
    for (name, leads) in sums {
        rows.add_row([
            name.clone(),
            leads.to_string(),
            percent(*leads, all),
            bar(*leads, most),
        ]);
    }
    rows.to_string()
}

/// A part of all, to the whole percent; what is not zero shows.
fn percent(part: i64, all: i64) -> String {
    match i128::from(part) * 100 / i128::from(all.max(1)) {
        0 if part > 0 => "<1 %".to_owned(),
        whole => format!("{whole} %"),
    }
}

fn months(age: i32) -> String {
    match age {
        0 => "under a month".to_owned(),
        1 => "1 month".to_owned(),
        age => format!("{age} months"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(state: pb::LeadState, age_months: i32, leads: i64) -> pb::LeadCount {
        pb::LeadCount {
            state: state.into(),
            lawful_basis: pb::LawfulBasis::Consent.into(),
            age_months,
            leads,
        }
    }

    /// Each table sums up all leads, and an open tombstone shows its age.
    #[test]
    fn counts_add_up_and_open_tombstones_have_an_age() {
        let text = words(&pb::GetStatisticsResponse {
            leads: vec![
                count(pb::LeadState::Available, 0, 30),
                count(pb::LeadState::Available, 2, 10),
                count(pb::LeadState::Restricted, 0, 2),
            ],
            overdue_requests: 1,
            open_requests: 3,
            answered_late: 2,
            overdue_restricted: 5,
            consumers: vec![pb::ConsumerStatus {
                client: "crm".to_owned(),
                unacknowledged_erasures: 4,
                oldest_unacknowledged_seconds: 3 * 86_400,
            }],
        });
        let row = |name: &str| {
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            text.lines()
                .map(words)
                .find(|line| line.starts_with(name))
                .unwrap_or_default()
        };
        assert!(text.starts_with("42 lead(s) held"), "{text}");
        assert!(row("available").starts_with("available 40 95 %"), "{text}");
        assert!(row("restricted").starts_with("restricted 2 4 %"), "{text}");
        assert!(row("consent").starts_with("consent 42 100 %"), "{text}");
        assert!(
            row("under a month").starts_with("under a month 32 76 %"),
            "{text}"
        );
        assert!(row("2 months").starts_with("2 months 10 23 %"), "{text}");
        assert_eq!(row("crm"), "crm 4 3 days");
        let requests = "3 request(s) open, 1 of them past their due date; 2 answered late";
        assert!(text.ends_with(requests), "{text}");
        assert!(
            row("5 lead(s)").ends_with("kept by a restriction"),
            "{text}"
        );
    }
}
