//! Expressions: the conditions of a write, and the attributes that it sets.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use replicante_model::Timestamp;

/// The conditions of a write: all must hold. An attribute `due` is written `#due` in them; a value is written as it
/// was named.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    conditions: Vec<String>,
    pub names: HashMap<String, String>,
    pub values: HashMap<String, AttributeValue>,
}

impl Guard {
    /// There is such an item.
    pub fn exists() -> Self {
        Self::default().on("attribute_exists(#pk)", &["pk"])
    }

    /// The fence is ours: what every guarded write of a head after the claim carries.
    pub fn fence(fence: u64) -> Self {
        Self::exists().on("#fence = :fence", &["fence"]).with(":fence", number(fence))
    }

    /// One more condition, on these attributes.
    pub fn on(mut self, condition: &str, attributes: &[&str]) -> Self {
        for attribute in attributes {
            self.name(attribute);
        }
        self.conditions.push(format!("({condition})"));
        self
    }

    /// A value for the conditions.
    pub fn with(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.into(), value);
        self
    }

    /// The condition expression.
    pub fn expression(&self) -> String {
        self.conditions.join(" AND ")
    }

    /// The placeholder of an attribute's name.
    fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.entry(placeholder.clone()).or_insert_with(|| attribute.to_owned());
        placeholder
    }
}

/// Named attributes set to values, on conditions.
#[derive(Debug)]
pub(crate) struct Change {
    sets: Vec<String>,
    pub guard: Guard,
}

impl Change {
    /// A change on these conditions.
    pub fn on(guard: Guard) -> Self {
        Change { sets: Vec::new(), guard }
    }

    /// Sets an attribute to a value.
    pub fn set(mut self, attribute: &str, value: AttributeValue) -> Self {
        let name = self.guard.name(attribute);
        let placeholder = format!(":set_{attribute}");
        self.sets.push(format!("{name} = {placeholder}"));
        self.guard.values.insert(placeholder, value);
        self
    }

    /// Sets an attribute to a value, if there is one.
    pub fn set_some(self, attribute: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(attribute, value),
            None => self,
        }
    }

    /// Adds a number to an attribute; one that is absent counts as zero.
    pub fn add(mut self, attribute: &str, amount: u64) -> Self {
        let name = self.guard.name(attribute);
        let placeholder = format!(":add_{attribute}");
        self.sets.push(format!("{name} = if_not_exists({name}, :zero) + {placeholder}"));
        self.guard.values.insert(":zero".into(), number(0_u64));
        self.guard.values.insert(placeholder, number(amount));
        self
    }

    /// The update expression: `SET a = :a, ...`
    pub fn expression(&self) -> String {
        format!("SET {}", self.sets.join(", "))
    }
}

/// A number.
pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A point in time: milliseconds since 1970.
pub(crate) fn time(value: Timestamp) -> AttributeValue {
    number(value.0)
}

/// Text.
pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A flag.
pub(crate) fn flag(value: bool) -> AttributeValue {
    AttributeValue::Bool(value)
}
