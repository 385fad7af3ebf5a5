//! From facts to the text people read: Markdown, one section per fact, absent facts left out.

use std::fmt::Write as _;

use jiff::civil::Date;

use super::words::{citation, date, words};
use super::{
    Complaint, Controller, Facts, Language, LawfulBasisFact, NoticeVersion, Objection, Rights,
};

/// The notice for the person. Pure: the same input gives the same bytes, since they are hashed.
pub(super) fn render(
    version: &NoticeVersion,
    effective_from: Date,
    language: Language,
    facts: &Facts,
    controller: &Controller,
) -> String {
    let words = words(language);
    let effective_from = date(effective_from, language);
    let mut page = Page(format!("# {}\n", facts.title.trim()));
    page.paragraph(&facts.intro);
    page.paragraph(&format!(
        "{} {version}, {} {effective_from}.",
        words.version, words.effective_from
    ));

    page.section(
        words.controller,
        Some(&controller_block(controller, language)),
    );
    page.section(
        words.data_protection_officer,
        facts.data_protection_officer.as_deref(),
    );
    page.list(words.purposes, &facts.purposes);
    page.list(words.data_categories, &facts.data_categories);
    page.list(words.lawful_bases, &bases(&facts.lawful_bases, language));
    page.section(words.source, facts.source.as_deref());
    page.section(
        words.recipients,
        facts
            .recipients
            .as_ref()
            .map(|recipients| recipients.text.as_str()),
    );
    page.section(words.transfers, facts.transfers.as_deref());
    page.section(
        words.retention,
        facts
            .retention
            .as_ref()
            .map(|retention| retention.criteria.as_str()),
    );
    page.section(
        words.provision_required,
        facts.provision_required.as_deref(),
    );
    page.section(
        words.automated_decisions,
        facts.automated_decisions.as_deref(),
    );
    // Art. 21(4): clearly and apart from other information, so a section of its own before the rest.
    page.objection(words.objection, facts.rights.objection.as_ref());
    page.rights(&facts.rights, language);
    page.complaint(words.complaint, facts.complaint.as_ref());
    page.0
}

fn controller_block(controller: &Controller, language: Language) -> String {
    let words = words(language);
    let lines = [
        controller.name.trim().to_owned(),
        format!(
            "{}: {}",
            words.organisation_number,
            controller.organisation_number.trim()
        ),
        format!("{}: {}", words.address, controller.address.trim()),
        format!("{}: {}", words.phone, controller.phone.trim()),
        format!("{}: {}", words.email, controller.email.trim()),
    ];
    bullets(&lines)
}

fn bases(bases: &[LawfulBasisFact], language: Language) -> Vec<String> {
    bases
        .iter()
        .map(|basis| {
            format!(
                "{}: {}",
                citation(basis.article, language),
                basis.text.trim()
            )
        })
        .collect()
}

fn bullets(items: &[String]) -> String {
    let lines: Vec<String> = items
        .iter()
        .map(|item| format!("- {}", item.trim()))
        .collect();
    lines.join("\n")
}

/// The text under construction. Every block ends with one newline and starts after an empty line.
struct Page(String);

impl Page {
    fn paragraph(&mut self, text: &str) {
        // Writing to a `String` cannot fail.
        let _ = write!(self.0, "\n{}\n", text.trim());
    }

    fn section(&mut self, heading: &str, text: Option<&str>) {
        // A blank fact is a gap, as `lint` sees it: no heading without text.
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            self.paragraph(&format!("## {heading}"));
            self.paragraph(text);
        }
    }

    fn list(&mut self, heading: &str, items: &[String]) {
        let text = (!items.is_empty()).then(|| bullets(items));
        self.section(heading, text.as_deref());
    }

    fn objection(&mut self, heading: &str, objection: Option<&Objection>) {
        let Some(objection) = objection else { return };
        self.section(heading, Some(&objection.general));
        if let Some(direct_marketing) = &objection.direct_marketing {
            self.paragraph(direct_marketing);
        }
    }

    fn rights(&mut self, rights: &Rights, language: Language) {
        let words = words(language);
        let all = [
            (words.access, &rights.access),
            (words.rectification, &rights.rectification),
            (words.erasure, &rights.erasure),
            (words.restriction, &rights.restriction),
            (words.portability, &rights.portability),
            (words.withdrawal, &rights.withdrawal),
        ];
        let stated: Vec<String> = all
            .into_iter()
            .filter_map(|(name, text)| text.as_ref().map(|text| format!("{name}: {}", text.trim())))
            .collect();
        self.section(words.rights, Some(&rights.how_to_use));
        if !stated.is_empty() {
            self.paragraph(&bullets(&stated));
        }
    }

    fn complaint(&mut self, heading: &str, complaint: Option<&Complaint>) {
        let Some(complaint) = complaint else { return };
        self.section(heading, Some(&complaint.text));
        if let Some(authority) = &complaint.authority {
            let lines = [&authority.name, &authority.address, &authority.url].map(Clone::clone);
            self.paragraph(&bullets(&lines));
        }
    }
}
