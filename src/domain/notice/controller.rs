//! Who is responsible for the data (Art. 4(7), 13(1)(a)). Configuration, not notice text.

use serde::Deserialize;

/// Identity and contact details of the controller (Art. 13(1)(a)).
///
/// The default is the company of the shipped notice. A table that is given replaces it as a whole:
/// an absent part is empty, never borrowed from the default, so two companies are never mixed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// Registered name.
    #[serde(default)]
    pub name: String,
    /// Postal address on one line.
    #[serde(default)]
    pub address: String,
    /// Number in the register of companies, as people write it.
    #[serde(default)]
    pub organisation_number: String,
    /// Phone number, as people write it.
    #[serde(default)]
    pub phone: String,
    /// E-mail address for questions and for the use of rights.
    #[serde(default)]
    pub email: String,
}

impl Controller {
    /// The names of the parts that are empty or blank, in the order of the fields. Empty when complete.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let parts = [
            ("name", &self.name),
            ("address", &self.address),
            ("organisation_number", &self.organisation_number),
            ("phone", &self.phone),
            ("email", &self.email),
        ];
        parts
            .into_iter()
            .filter_map(|(name, value)| value.trim().is_empty().then_some(name))
            .collect()
    }
}

impl Default for Controller {
    fn default() -> Self {
        Self {
            name: "Ajour Nordic/Norge AS".to_owned(),
            address: "Strandveien 15, 1366 Lysaker".to_owned(),
            organisation_number: "917 899 142".to_owned(),
            phone: "4060 5600".to_owned(),
            email: "hei@ajourpos.com".to_owned(),
        }
    }
}
