//! Labels: what a source says of a node beside its id and address, as names and values.

use std::collections::BTreeMap;

/// The labels of a node, by name.
pub type Labels = BTreeMap<String, String>;

/// The most labels of a node: those whose names sort first.
pub const MAX_LABELS: usize = 32;
/// The longest name, in characters.
pub const MAX_LABEL_NAME: usize = 63;
/// The longest value, in characters.
pub const MAX_LABEL: usize = 256;

/// Adds a label. One that is empty, too long or holds control characters is left out: cut to size it would be another
/// label. Of several values of a name the one that sorts first stays, and of too many names those that do, so that the
/// outcome does not depend on the order.
pub fn add_label(labels: &mut Labels, name: &str, value: &str) {
    let fits = |text: &str, most: usize| {
        !text.is_empty() && text.chars().nth(most).is_none() && !text.chars().any(char::is_control)
    };
    if !fits(name, MAX_LABEL_NAME) || !fits(value, MAX_LABEL) {
        return;
    }
    match labels.get_mut(name) {
        Some(known) if value < known.as_str() => *known = value.into(),
        Some(_) => {}
        None => {
            labels.insert(name.into(), value.into());
            if labels.len() > MAX_LABELS {
                labels.pop_last();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels<'l>(all: impl IntoIterator<Item = (&'l str, &'l str)>) -> Labels {
        let mut labels = Labels::new();
        all.into_iter().for_each(|(name, value)| add_label(&mut labels, name, value));
        labels
    }

    #[test]
    fn what_is_no_label_is_left_out_and_the_others_stay() {
        let (name, value) = ("ü".repeat(MAX_LABEL_NAME), "ü".repeat(MAX_LABEL));
        let kept = labels([
            (name.as_str(), value.as_str()),
            (&format!("{name}x"), "1"),
            ("long", &format!("{value}x")),
            ("", "1"),
            ("empty", ""),
            ("bell", "\u{7}"),
            ("a\nb", "1"),
        ]);
        assert_eq!(kept, [(name, value)].into());
    }

    #[test]
    fn of_too_many_labels_those_stay_whose_names_sort_first() {
        let names: Vec<String> = (0..MAX_LABELS + 9).map(|n| format!("n{n:02}")).collect();
        let kept = labels(names.iter().rev().map(|name| (name.as_str(), "1")));
        assert_eq!(kept.into_keys().collect::<Vec<_>>(), names[..MAX_LABELS]);
    }

    proptest! {
        #[test]
        fn the_order_of_labels_does_not_matter(
            all in prop::collection::vec(("[a-f][0-9]{1,2}", "[a-c]{0,2}"), 0..90),
        ) {
            let pairs = || all.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            prop_assert_eq!(labels(pairs()), labels(pairs().rev()));
        }
    }
}
