//! HTML that escapes by construction.
//!
//! The rule: names of elements and attributes are constants of this program, and every other text passes
//! [`Html::text`] or an attribute's value, which escape it. Only [`Html::style`] takes text as it is, and it takes
//! constants only. There is no other way in.

/// A document under construction.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// The start of every page.
    pub(super) fn page() -> Self {
        Self("<!DOCTYPE html>\n".to_owned())
    }

    /// What was built.
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Text, escaped.
    pub(super) fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
    }

    /// An element with attributes and content.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        attributes: &[(&'static str, &str)],
        content: impl FnOnce(&mut Self),
    ) {
        self.open(name, attributes);
        content(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
        if is_block(name) {
            self.0.push('\n');
        }
    }

    /// An element of content only.
    pub(super) fn nest(&mut self, name: &'static str, content: impl FnOnce(&mut Self)) {
        self.element(name, &[], content);
    }

    /// An element of text only.
    pub(super) fn leaf(&mut self, name: &'static str, text: &str) {
        self.nest(name, |html| html.text(text));
    }

    /// An element that has no content and no end.
    pub(super) fn void(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.open(name, attributes);
        self.0.push('\n');
    }

    /// A style sheet of this program.
    pub(super) fn style(&mut self, sheet: &'static str) {
        self.0.push_str("<style>\n");
        self.0.push_str(sheet);
        self.0.push_str("</style>\n");
    }

    fn open(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) {
        self.0.push('<');
        self.0.push_str(name);
        for (attribute, value) in attributes {
            self.0.push(' ');
            self.0.push_str(attribute);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
        self.0.push('>');
    }
}

/// Whether a line may end after this element without a space appearing on the page.
fn is_block(name: &str) -> bool {
    !matches!(name, "a" | "bdi" | "code" | "span" | "strong" | "time")
}

#[cfg(test)]
mod tests {
    use html5gum::{Token, Tokenizer};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the text is, html5gum (a tokenizer by the HTML standard) sees the elements that the program
        /// made and no others, and reads the text back as text.
        #[test]
        fn no_text_becomes_markup(text in "[<>&\"'=/! a-z#;-]{0,40}|[^\r\0]{0,40}") {
            let mut html = Html::default();
            html.element("p", &[("title", &text)], |html| html.text(&text));
            let (mut tags, mut seen, mut title) = (Vec::new(), Vec::new(), Vec::new());
            for Ok(token) in Tokenizer::new(&html.finish()) {
                match token {
                    Token::StartTag(tag) => {
                        title = tag.attributes.values().flat_map(|value| value.to_vec()).collect();
                        tags.push(tag.name.to_vec());
                    }
                    Token::EndTag(tag) => tags.push(tag.name.to_vec()),
                    Token::String(part) => seen.extend_from_slice(&part),
                    // A control character, which no contact field holds: an error, and text all the same.
                    Token::Error(_) => {}
                    _ => tags.push(b"other".to_vec()),
                }
            }
            prop_assert_eq!(tags, vec![b"p".to_vec(), b"p".to_vec()]);
            prop_assert_eq!(String::from_utf8_lossy(&title), &*text);
            prop_assert_eq!(String::from_utf8_lossy(&seen), format!("{text}\n"));
        }
    }
}
