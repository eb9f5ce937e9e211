//! The known word that a mistyped one was probably meant to be.

/// The word of `known` that is nearest to `word`, when it is near enough to be worth a guess: another spelling of
/// the same word (`readTimeout` for `read_timeout`), or one slip in three characters.
pub(crate) fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let plain = plain(word);
    if plain.is_empty() || plain.len() > 64 {
        return None;
    }
    known
        .iter()
        .map(|known| (distance(&plain, &self::plain(known)), *known))
        .min()
        .filter(|(slips, known)| *slips <= 1.max(known.len() / 3) && *slips < plain.len())
        .map(|(_, known)| known)
}

/// Lower case, without what separates words.
fn plain(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// How many characters must be added, dropped, replaced or swapped with their neighbour (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_or_another_spelling_finds_the_word_and_nonsense_finds_none() {
        let known = ["interval", "enabled", "connect_timeout", "tls"];
        for (word, found) in [
            ("intervall", Some("interval")),
            ("intreval", Some("interval")),
            ("enable", Some("enabled")),
            ("connectTimeout", Some("connect_timeout")),
            ("connect-timeout", Some("connect_timeout")),
            ("TLS", Some("tls")),
            ("quux", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), found, "{word}");
        }
    }
}
