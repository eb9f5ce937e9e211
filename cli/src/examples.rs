//! The examples of every `--help`, as what a shell would run. For tests alone.

use clap::Command;

/// One example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The line of the help.
    pub line: String,
    /// The command of it that is ours, in words: `replicante` is the first. What it is piped to, or written to, is left out.
    pub words: Vec<String>,
}

/// All of a command and of its subcommands, in the order of the help.
pub fn of(command: &Command) -> Vec<Example> {
    let help = [command.get_after_help(), command.get_after_long_help()];
    let text = help.into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let mut examples: Vec<Example> = text.lines().filter_map(example).collect();
    examples.extend(command.get_subcommands().flat_map(of));
    examples
}

/// Lines that stand in by two spaces and name the program are examples. Two spaces end what is typed.
fn example(line: &str) -> Option<Example> {
    let typed = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?;
    let typed = typed.replace("cargo run --release -- ", "replicante ");
    let start = typed.find("replicante ")?;
    // Nothing but variables and a pipe stands before the program.
    let before = &typed[..start];
    if !before.split_whitespace().all(|word| word.contains('=') || matches!(word, "generate" | "|")) {
        return None;
    }
    let typed = &typed[start..];
    let typed = typed.split("  ").next().unwrap_or(typed);
    Some(Example { line: line.trim().to_owned(), words: words(typed) })
}

/// The words of a command line up to a pipe, the next command or what it is written to. Quotes are single ones.
pub fn words(typed: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut any) = (String::new(), false, false);
    for c in typed.chars().chain([' ']) {
        match c {
            '\'' => (quoted, any) = (!quoted, true),
            ' ' if !quoted => {
                if ["|", "&&", ">", "2>"].contains(&word.as_str()) || word.starts_with(">/") {
                    return words;
                }
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    words
}
