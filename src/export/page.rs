//! Art. 15 as a page to read: one file that needs nothing else, on a screen, on a phone or on paper.
//!
//! The order is that of a reader: what is held, then the facts of Art. 15(1), with the right to object as a block of
//! its own (Art. 21(4)), then who is responsible and which notice was shown. Values that people wrote stand in
//! `bdi`, so that a name in any script leaves the words around it where they are.

mod facts;

use jiff::Timestamp;

use super::{
    ExportedLead, Exporter,
    html::Html,
    labels::{self, Labels},
};
use crate::domain::{
    lead::LeadState,
    notice::{Controller, Language, NoticeVersion, date},
};

/// Nothing may be loaded and nothing may run, whatever a reader's program would allow.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page.
pub(super) fn page(
    exporter: &Exporter,
    language: Language,
    leads: &[ExportedLead],
    now: Timestamp,
) -> String {
    let page = Page {
        exporter,
        language,
        labels: Labels::of(language),
        leads,
    };
    let mut html = Html::page();
    html.element("html", &[("lang", language.as_str())], |html| {
        html.nest("head", |html| {
            html.void("meta", &[("charset", "utf-8")]);
            html.void(
                "meta",
                &[
                    ("http-equiv", "Content-Security-Policy"),
                    ("content", POLICY),
                ],
            );
            let viewport = "width=device-width, initial-scale=1";
            html.void("meta", &[("name", "viewport"), ("content", viewport)]);
            html.void(
                "meta",
                &[("name", "color-scheme"), ("content", "light dark")],
            );
            html.void("meta", &[("name", "robots"), ("content", "noindex")]);
            html.leaf("title", page.labels.title);
            html.style(include_str!("page.css"));
        });
        html.nest("body", |html| {
            page.head(html, now);
            html.nest("main", |html| {
                page.held(html);
                if let Some(notice) = exporter.notice(language, now) {
                    page.facts(html, &notice.facts);
                }
            });
            page.foot(html, now);
        });
    });
    html.finish()
}

struct Page<'a> {
    exporter: &'a Exporter,
    language: Language,
    labels: &'static Labels,
    leads: &'a [ExportedLead],
}

impl Page<'_> {
    fn head(&self, html: &mut Html, now: Timestamp) {
        html.nest("header", |html| {
            let controller = &self.exporter.controller.name;
            html.element("p", &[("class", "from")], |html| html.text(controller));
            html.leaf("h1", self.labels.title);
            html.element("p", &[("class", "lead")], |html| {
                html.text(self.labels.about);
            });
            html.element("p", &[("class", "made")], |html| {
                html.text(self.labels.made);
                html.text(" ");
                self.moment(html, now);
            });
        });
    }

    fn held(&self, html: &mut Html) {
        html.nest("section", |html| {
            html.leaf("h2", self.labels.held);
            if self.leads.is_empty() {
                html.leaf("p", self.labels.none_held);
                return;
            }
            html.leaf("p", &labels::count(self.language, self.leads.len()));
            for (place, lead) in self.leads.iter().enumerate() {
                html.element("article", &[("class", "card")], |html| {
                    html.leaf("h3", &format!("{} {}", self.labels.enquiry, place + 1));
                    html.nest("dl", |html| self.lead(html, lead));
                });
            }
        });
    }

    fn lead(&self, html: &mut Html, lead: &ExportedLead) {
        let (labels, facts) = (self.labels, &lead.facts);
        for (label, value) in [
            (labels.name, &lead.content.name),
            (labels.company, &lead.content.company),
            (labels.phone, &lead.content.phone),
            (labels.email, &lead.content.email),
        ] {
            if !value.is_empty() {
                row(html, label, |html| html.leaf("bdi", value));
            }
        }
        row(html, labels.submitted, |html| {
            self.moment(html, facts.submitted_at);
        });
        let state = facts.state();
        row(html, labels.state, |html| {
            let class = match state {
                LeadState::Restricted => "state held",
                LeadState::Available | LeadState::Closed => "state",
            };
            let text = labels::state(self.language, state);
            html.element("span", &[("class", class)], |html| html.text(text));
        });
        if !facts.restrictions.is_empty() {
            row(html, labels.because, |html| {
                for reason in facts.restrictions.reasons() {
                    html.leaf("p", labels::reason(self.language, reason));
                }
            });
        }
        if let Some(closing) = facts.closing {
            row(html, labels.closed, |html| self.moment(html, closing.at));
        }
        row(html, labels.erased_by, |html| {
            self.day(html, self.exporter.retention.erase_by(facts));
            if state == LeadState::Restricted {
                html.text(", ");
                html.text(labels.unless_restricted);
            }
        });
        let basis = labels::basis(self.language, facts.basis);
        row(html, labels.basis, |html| html.text(basis));
        let consent = labels::consent(self.language, facts);
        row(html, labels.consent, |html| html.text(consent));
        let shown = format!("{} {}", labels.version, facts.notice_version);
        row(html, labels.notice_shown, |html| html.text(&shown));
        row(html, labels.reference, |html| {
            html.leaf("code", &facts.id.to_string());
        });
    }

    fn foot(&self, html: &mut Html, now: Timestamp) {
        let labels = self.labels;
        html.nest("footer", |html| {
            html.nest("section", |html| {
                html.leaf("h2", labels.controller);
                html.leaf("p", &self.exporter.controller.name);
                self.contact(html);
            });
            html.nest("section", |html| {
                html.leaf("h2", labels.notices);
                html.leaf("p", labels.notices_about);
                html.nest("dl", |html| {
                    for version in self.versions(now) {
                        self.version(html, version);
                    }
                });
            });
        });
    }

    fn contact(&self, html: &mut Html) {
        let (labels, controller) = (self.labels, &self.exporter.controller);
        html.element("dl", &[("class", "contact")], |html| {
            row(html, labels.email, |html| mail_link(html, controller));
            row(html, labels.phone, |html| html.text(&controller.phone));
            row(html, labels.address, |html| html.text(&controller.address));
            row(html, labels.organisation_number, |html| {
                html.text(&controller.organisation_number);
            });
        });
    }

    /// The notices that this page speaks of: those that were shown, and the one in force, oldest first.
    fn versions(&self, now: Timestamp) -> Vec<&str> {
        let in_force = self.exporter.notice(self.language, now);
        let speaks_of = |version: &&str| {
            in_force.is_some_and(|notice| notice.version.as_str() == *version)
                || self
                    .leads
                    .iter()
                    .any(|lead| lead.facts.notice_version == *version)
        };
        let versions = self.exporter.notices.versions();
        versions
            .map(NoticeVersion::as_str)
            .filter(speaks_of)
            .collect()
    }

    fn version(&self, html: &mut Html, version: &str) {
        let labels = self.labels;
        let texts = self.exporter.texts(version);
        html.nest("dt", |html| {
            html.text(&format!("{} {version}", labels.version));
            if let Some(first) = texts.first() {
                let from = date(first.effective_from, self.language);
                html.text(&format!(", {} {from}", labels.in_force_from));
            }
        });
        for notice in texts {
            let [nb, en] = labels.languages;
            let name = match notice.language {
                Language::Nb => nb,
                Language::En => en,
            };
            html.nest("dd", |html| {
                html.text(name);
                html.text(": ");
                html.leaf("code", &notice.sha256_hex());
            });
        }
    }

    fn moment(&self, html: &mut Html, time: Timestamp) {
        html.element("time", &[("datetime", &time.to_string())], |html| {
            html.text(&labels::moment(self.language, time));
        });
    }

    fn day(&self, html: &mut Html, time: Timestamp) {
        html.element("time", &[("datetime", &time.to_string())], |html| {
            html.text(&labels::day(self.language, time));
        });
    }
}

/// A label and its value.
fn row(html: &mut Html, label: &str, value: impl FnOnce(&mut Html)) {
    html.nest("div", |html| {
        html.leaf("dt", label);
        html.nest("dd", value);
    });
}

fn mail_link(html: &mut Html, controller: &Controller) {
    let address = controller.email.trim();
    html.element("a", &[("href", &format!("mailto:{address}"))], |html| {
        html.text(address);
    });
}
