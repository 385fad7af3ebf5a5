//! The facts of Art. 15(1)(a) to (h) and 15(2), each under a heading in plain words.

use super::Page;
use crate::{
    domain::notice::{Complaint, Facts, Objection, Recipients, Retention},
    export::{access::rights_of, html::Html, labels},
};

impl Page<'_> {
    pub(super) fn facts(&self, html: &mut Html, facts: &Facts) {
        let labels = self.labels;
        html.element("h2", &[("class", "part")], |html| {
            html.text(labels.processing);
        });
        self.fact(html, labels.purposes, Some('a'), |html| {
            paragraphs(html, &facts.purposes);
        });
        self.fact(html, labels.categories, Some('b'), |html| {
            html.nest("ul", |html| {
                for category in &facts.data_categories {
                    html.leaf("li", category);
                }
            });
        });
        self.fact(html, labels.recipients, Some('c'), |html| {
            paragraphs(
                html,
                text(facts.recipients.as_ref(), |it: &Recipients| &it.text),
            );
            self.disclosures(html);
        });
        self.fact(html, labels.retention, Some('d'), |html| {
            paragraphs(
                html,
                text(facts.retention.as_ref(), |it: &Retention| &it.criteria),
            );
        });
        self.fact(html, labels.rights, Some('e'), |html| {
            self.rights(html, facts);
        });
        if let Some(objection) = &facts.rights.objection {
            self.objection(html, objection);
        }
        if let Some(complaint) = &facts.complaint {
            self.fact(html, labels.complaint, Some('f'), |html| {
                authority(html, complaint);
            });
        }
        for (label, point, text) in [
            (labels.source, Some('g'), &facts.source),
            (labels.automated, Some('h'), &facts.automated_decisions),
            (labels.transfers, None, &facts.transfers),
        ] {
            self.fact(html, label, point, |html| paragraphs(html, text));
        }
    }

    /// A fact under a heading in plain words, with its place in Art. 15. Without a point it is 15(2).
    fn fact(
        &self,
        html: &mut Html,
        title: &str,
        point: Option<char>,
        content: impl FnOnce(&mut Html),
    ) {
        let paragraph = if point.is_some() { 1 } else { 2 };
        let article = labels::article_15(self.language, paragraph, point);
        html.element("section", &[("class", "fact")], |html| {
            html.leaf("h3", title);
            html.element("p", &[("class", "article")], |html| html.text(&article));
            content(html);
        });
    }

    /// Who was given which lead, and when first.
    fn disclosures(&self, html: &mut Html) {
        let given: Vec<_> = (1..)
            .zip(self.leads)
            .flat_map(|(place, lead)| lead.disclosures.iter().map(move |it| (place, it)))
            .collect();
        if given.is_empty() {
            if !self.leads.is_empty() {
                html.leaf("p", self.labels.not_given);
            }
            return;
        }
        let labels = self.labels;
        html.nest("table", |html| {
            html.nest("thead", |html| {
                html.nest("tr", |html| {
                    for label in [labels.recipient, labels.enquiry, labels.first_given] {
                        html.element("th", &[("scope", "col")], |html| html.text(label));
                    }
                });
            });
            html.nest("tbody", |html| {
                for (place, disclosure) in given {
                    html.nest("tr", |html| {
                        html.nest("td", |html| html.leaf("bdi", &disclosure.client));
                        html.leaf("td", &place.to_string());
                        html.nest("td", |html| self.moment(html, disclosure.at));
                    });
                }
            });
        });
    }

    fn rights(&self, html: &mut Html, facts: &Facts) {
        html.element("dl", &[("class", "rights")], |html| {
            for (iri, title, text) in rights_of(&facts.rights, self.language) {
                html.nest("dt", |html| {
                    html.text(title);
                    html.text(" ");
                    html.element("span", &[("class", "article")], |html| {
                        html.text(&labels::right(self.language, iri));
                    });
                });
                html.leaf("dd", text);
            }
        });
        html.leaf("h4", self.labels.how_to_use);
        html.leaf("p", &facts.rights.how_to_use);
        self.contact(html);
    }

    /// Art. 21(4): clearly, and apart from everything else.
    fn objection(&self, html: &mut Html, objection: &Objection) {
        html.element("section", &[("class", "objection")], |html| {
            html.leaf("h3", self.labels.objection);
            html.element("p", &[("class", "article")], |html| {
                html.text(&labels::right(self.language, "eu-gdpr:A21"));
            });
            html.leaf("p", &objection.general);
            paragraphs(html, &objection.direct_marketing);
        });
    }
}

fn paragraphs<'a>(html: &mut Html, texts: impl IntoIterator<Item = &'a String>) {
    for text in texts {
        html.leaf("p", text);
    }
}

fn text<'a, T>(fact: Option<&'a T>, text: impl FnOnce(&'a T) -> &'a String) -> Option<&'a String> {
    fact.map(text)
}

/// Where to complain (Art. 77).
fn authority(html: &mut Html, complaint: &Complaint) {
    html.leaf("p", &complaint.text);
    if let Some(authority) = &complaint.authority {
        html.nest("p", |html| {
            html.leaf("strong", &authority.name);
            html.text(&format!(", {}, ", authority.address));
            html.element("a", &[("href", &authority.url)], |html| {
                html.text(&authority.url);
            });
        });
    }
}
