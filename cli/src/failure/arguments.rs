//! Command lines that clap refuses, told in the form of every other failure.
//!
//! A value that somebody typed may be a patient's name, so it is never repeated: only names of options and
//! the program's own words are.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Failure;

/// Turns clap's error into a failure; `typed` are the arguments, to point at the right help page.
#[must_use]
pub fn from_clap(error: &clap::Error, typed: &[String], root: &clap::Command) -> Failure {
    let failure = Failure::usage("usage", message(error));
    let page = page(typed, root);
    failure.then(match suggestion(error) {
        Some(word) => format!("did you mean `{word}`? `{page} --help` shows an example"),
        None => format!("`{page} --help` shows an example"),
    })
}

fn message(error: &clap::Error) -> String {
    let words = |kind| context(error, kind);
    match error.kind() {
        ErrorKind::MissingRequiredArgument => format!("missing: {}", words(ContextKind::InvalidArg).join(", ")),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let option = words(ContextKind::InvalidArg).join(" ");
            let valid = words(ContextKind::ValidValue).join(", ");
            if valid.is_empty() {
                format!("{option} has a value that cannot be read")
            } else {
                format!("{option} takes one of: {valid}")
            }
        }
        ErrorKind::UnknownArgument => match words(ContextKind::InvalidArg).first().and_then(|arg| option_name(arg)) {
            Some(option) => format!("there is no option {option} here"),
            None => "there is one argument too many; put quotes around a text with spaces".to_owned(),
        },
        ErrorKind::InvalidSubcommand => "there is no such command".to_owned(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "the command is not complete".to_owned()
        }
        ErrorKind::ArgumentConflict => {
            let both = [words(ContextKind::InvalidArg), words(ContextKind::PriorArg)].concat();
            format!("these do not go together: {}", both.join(", "))
        }
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8 text".to_owned(),
        _ => "the arguments do not fit the command".to_owned(),
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

/// The name of an option without its value; nothing if it is no option.
fn option_name(argument: &str) -> Option<&str> {
    let name = argument.split('=').next().unwrap_or_default();
    let body = name.strip_prefix("--").filter(|n| !n.is_empty())?;
    body.bytes().all(|b| b.is_ascii_lowercase() || b == b'-').then_some(name)
}

fn suggestion(error: &clap::Error) -> Option<String> {
    [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg].into_iter().find_map(|kind| {
        let words = context(error, kind);
        words.into_iter().next()
    })
}

/// The command whose help applies: the words typed as far as they name commands.
fn page(typed: &[String], root: &clap::Command) -> String {
    let mut page = root.get_name().to_owned();
    let mut command = root;
    for word in typed {
        if let Some(found) = command.find_subcommand(word) {
            page.push(' ');
            page.push_str(found.get_name());
            command = found;
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    fn told(line: &[&str]) -> String {
        let typed: Vec<String> = line.iter().map(ToString::to_string).collect();
        let error = Cli::command().try_get_matches_from(&typed).unwrap_err();
        from_clap(&error, &typed[1..], &Cli::command()).to_json().to_string()
    }

    #[test]
    fn what_was_typed_is_never_repeated() {
        for line in [
            &["daybook", "patient", "find", "Maria", "MARKER"][..],
            &["daybook", "MARKER"],
            &["daybook", "patient", "add", "--sex=female", "--MARKER"],
            &["daybook", "patient", "add", "--nmae=MARKER"],
            &["daybook", "allergy", "add", "P", "x", "--severity", "MARKER"],
            &["daybook", "patient", "find", "x", "--limit", "MARKER"],
        ] {
            let told = told(line);
            assert!(!told.contains("MARKER"), "{told}");
            assert!(told.contains(r#""kind":"usage""#));
        }
    }

    #[test]
    fn a_mistyped_option_is_corrected() {
        let told = told(&["daybook", "patient", "add", "--nmae", "x"]);
        assert!(told.contains("there is no option --nmae here"), "{told}");
        assert!(told.contains("did you mean `--name`? `daybook patient add --help` shows an example"), "{told}");
    }

    #[test]
    fn missing_arguments_are_named() {
        let told = told(&["daybook", "note"]);
        assert!(told.contains("missing: <P>, <TEXT>"), "{told}");
    }
}
