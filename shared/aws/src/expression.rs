//! Update expressions: named attributes set to values, on a condition.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use replicante_model::Timestamp;

/// Names and values of an expression. An attribute `due` is written `#due`; a value is written as it was named.
#[derive(Debug, Default)]
pub(crate) struct Expression {
    sets: Vec<String>,
    conditions: Vec<String>,
    pub names: HashMap<String, String>,
    pub values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// Sets an attribute to a value.
    pub fn set(&mut self, attribute: &str, value: AttributeValue) -> &mut Self {
        let name = self.name(attribute);
        let placeholder = format!(":set_{attribute}");
        self.sets.push(format!("{name} = {placeholder}"));
        self.values.insert(placeholder, value);
        self
    }

    /// Adds a number to an attribute; one that is absent counts as zero.
    pub fn add(&mut self, attribute: &str, amount: u64) -> &mut Self {
        let name = self.name(attribute);
        let placeholder = format!(":add_{attribute}");
        self.sets.push(format!("{name} = if_not_exists({name}, :zero) + {placeholder}"));
        self.values.insert(":zero".into(), number(0_u64));
        self.values.insert(placeholder, number(amount));
        self
    }

    /// One more condition: all must hold. Attributes stand in it as `#name`.
    pub fn condition(&mut self, text: &str, attributes: &[&str]) -> &mut Self {
        for attribute in attributes {
            self.name(attribute);
        }
        self.conditions.push(format!("({text})"));
        self
    }

    /// A value for conditions.
    pub fn value(&mut self, placeholder: &str, value: AttributeValue) -> &mut Self {
        self.values.insert(placeholder.into(), value);
        self
    }

    /// The placeholder of an attribute's name.
    pub fn name(&mut self, attribute: &str) -> String {
        let placeholder = format!("#{attribute}");
        self.names.entry(placeholder.clone()).or_insert_with(|| attribute.to_owned());
        placeholder
    }

    /// `SET a = :a, ...`
    pub fn update(&self) -> String {
        format!("SET {}", self.sets.join(", "))
    }

    /// All conditions, joined.
    pub fn conditions(&self) -> String {
        self.conditions.join(" AND ")
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
